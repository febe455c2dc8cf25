/**
 * What has happened since this source was chosen, on the page's own clock: the source's time, which goes on
 * where a server that was restarted begins at nought again, as do its numbers of utterances. Bounded; no DOM
 * in here.
 *
 * @typedef {import("./events.js").ServerEvent} ServerEvent
 * @typedef {import("./events.js").Emotion} Emotion
 * @typedef {{key: string, startMs: number, emotion: Emotion | null}} Open  Spoken, and without a final yet.
 * @typedef {{kind: "lost" | "session", fromMs: number, toMs: number}} Mark
 */

export const KEPT_FINALS = 10_000; // eight hours of talk
const KEPT_LINES = 40_000;

export class Journal {
  /** @type {(Emotion & {key: string})[]}  In the order of speech. */
  finals = [];
  /** @type {Open[]} */
  open = [];
  /** @type {Mark[]} */
  marks = [];
  /** Finals that were let go because there were too many. */
  forgotten = 0;
  /** @type {string[]} */
  labels = [];

  #session = null;
  #offsetMs = 0;
  #lines = []; // messages of the wire, as they came
  #lastSeq = 0;
  #numbered = 0; // utterances of the sessions before
  #highest = 0;
  #knownMs = 0; // the latest moment of the clock that an event told of
  #knownAt = 0; // when it did
  #live = false;
  #sums = new Map(); // label -> {ms, count}
  #delays = { total: [], decided: [] };

  /** Where the session's clock begins on this one. */
  get offsetMs() {
    return this.#offsetMs;
  }

  get session() {
    return this.#session;
  }

  /**
   * @param {ServerEvent} event
   * @param {object | null} wire  The message itself.
   * @param {number} now  Milliseconds on a clock that never goes back.
   * @param {number | null} [startMs]  Where a new session's clock begins; null: behind what there was.
   * @returns {ServerEvent | null} The event on this clock; null where it was told before.
   */
  take(event, wire, now, startMs = null) {
    if (event.type === "ready") return this.#begin(event, now, startMs);
    if (event.seq > 0) {
      if (event.seq <= this.#lastSeq) return null;
      this.#lastSeq = event.seq;
    }
    const moved = this.#moved(event);
    if (wire !== null) this.#write(wire);
    switch (moved.type) {
      case "speech_started":
        this.#know(moved.startMs, now);
        this.open = [...this.open, { key: this.#key(moved), startMs: moved.startMs, emotion: null }];
        break;
      case "emotion":
        this.#know(moved.endMs + (moved.final ? (moved.timing?.endpoint ?? 0) : 0), now);
        this.#judge({ ...moved, key: this.#key(moved) });
        break;
      case "dropped": {
        const toMs = moved.atMs === null ? this.edgeMs(now) : moved.atMs + moved.ms;
        this.#mark({ kind: "lost", fromMs: Math.max(0, toMs - moved.ms), toMs });
        break;
      }
      case "error":
        if (moved.utterance !== null) this.#drop(this.#key(moved));
        break;
      case "closed":
        this.open = [];
        if (moved.totals !== null) this.#know(this.#offsetMs + moved.totals.audioMs, now);
        this.stop(now);
        break;
    }
    return moved;
  }

  /** The connection is there: the clock goes on by itself. */
  start(now) {
    this.#knownMs = this.edgeMs(now);
    this.#knownAt = now;
    this.#live = true;
  }

  /** It is not. */
  stop(now) {
    this.#know(this.edgeMs(now), now);
    this.#live = false;
  }

  /** How far the source has got, as far as can be known. */
  edgeMs(now) {
    return this.#live ? this.#knownMs + (now - this.#knownAt) : this.#knownMs;
  }

  /** The sound is there up to here. */
  reach(ms, now) {
    this.#know(ms, now);
  }

  /** @returns {{label: string, ms: number, count: number, share: number}[]} Share of the time of speech. */
  shares() {
    const others = [...this.#sums.keys()].filter((label) => !this.labels.includes(label));
    const all = [...this.#sums.values()].reduce((sum, { ms }) => sum + ms, 0);
    return [...this.labels, ...others].map((label) => {
      const { ms = 0, count = 0 } = this.#sums.get(label) ?? {};
      return { label, ms, count, share: all > 0 ? ms / all : 0 };
    });
  }

  /**
   * Percentiles over the finals, milliseconds. total: from the last sound of speech to the event; decided:
   * from the moment at which the pause was long enough.
   *
   * @returns {{count: number, total: {p50: number, p95: number} | null,
   *   decided: {p50: number, p95: number} | null}}
   */
  latency() {
    const { total, decided } = this.#delays;
    return { count: total.length, total: percentiles(total), decided: percentiles(decided) };
  }

  /**
   * @returns {readonly string[]} JSON, an event each as the server said it, on its session's own clock. Where
   *   `seq` goes back another session begins.
   */
  get lines() {
    return this.#lines;
  }

  #begin(ready, now, startMs) {
    if (ready.labels.length > 0) this.labels = ready.labels;
    if (ready.session !== this.#session) {
      const first = this.#session === null;
      this.#offsetMs = Math.round(startMs ?? (first ? 0 : Math.ceil(this.edgeMs(now) / 1_000) * 1_000));
      this.#session = ready.session;
      this.#lastSeq = 0;
      this.#numbered = this.#highest;
      this.open = [];
      if (!first) this.#mark({ kind: "session", fromMs: this.#offsetMs, toMs: this.#offsetMs });
      this.#know(this.#offsetMs, now);
    }
    this.#know(this.#offsetMs + ready.clockMs, now);
    return ready;
  }

  #key({ utterance }) {
    return `${this.#session}/${utterance}`;
  }

  /** On this clock, and with numbers that go on. */
  #moved(event) {
    const by = this.#offsetMs;
    const moved = { ...event };
    for (const time of ["startMs", "endMs", "atMs"]) if (Number.isFinite(event[time])) moved[time] += by;
    if (Number.isInteger(event.utterance)) {
      moved.utterance += this.#numbered;
      this.#highest = Math.max(this.#highest, moved.utterance);
    }
    return moved;
  }

  #judge(emotion) {
    if (!emotion.final) {
      this.open = this.open.map((one) => (one.key === emotion.key ? { ...one, emotion } : one));
      return;
    }
    this.#drop(emotion.key);
    this.finals.push(emotion);
    const length = emotion.endMs - emotion.startMs;
    const { ms = 0, count = 0 } = this.#sums.get(emotion.label) ?? {};
    this.#sums.set(emotion.label, { ms: ms + length, count: count + 1 });
    if (emotion.timing !== null) {
      this.#delays.total.push(emotion.timing.total);
      this.#delays.decided.push(Math.max(0, emotion.timing.total - emotion.timing.endpoint));
    }
    if (this.finals.length > KEPT_FINALS) {
      const surplus = KEPT_FINALS / 10; // many at once: cutting an array's head costs its length
      this.finals.splice(0, surplus);
      this.#delays.total.splice(0, surplus);
      this.#delays.decided.splice(0, surplus);
      this.forgotten += surplus;
    }
  }

  #drop(key) {
    this.open = this.open.filter((one) => one.key !== key);
  }

  #mark(mark) {
    this.marks.push(mark);
    if (this.marks.length > KEPT_FINALS) this.marks.splice(0, KEPT_FINALS / 10);
  }

  #know(ms, now) {
    if (ms < this.edgeMs(now)) return;
    this.#knownMs = ms;
    this.#knownAt = now;
  }

  #write(wire) {
    this.#lines.push(JSON.stringify(wire));
    if (this.#lines.length > KEPT_LINES) this.#lines.splice(0, KEPT_LINES / 10);
  }
}

/** Nearest rank; null of nothing. */
function percentiles(values) {
  if (values.length === 0) return null;
  const sorted = Float64Array.from(values).sort();
  const rank = (p) => sorted[Math.max(0, Math.ceil(p * sorted.length) - 1)];
  return { p50: rank(0.5), p95: rank(0.95) };
}
