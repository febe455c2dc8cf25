/**
 * What has happened since the present source was chosen, on the page's own clock: the source's time, which
 * continues where a restarted server's session begins at 0 again, as do its utterance numbers. Bounded; no DOM
 * in here.
 *
 * @typedef {import("./events.js").ServerEvent} ServerEvent
 * @typedef {import("./events.js").Emotion} Emotion
 * @typedef {{key: string, startMs: number, channel: number | null, emotion: Emotion | null}} OpenUtterance  Without a
 *   final so far.
 * @typedef {{kind: "lost" | "session" | "no_emotion", fromMs: number, toMs: number, reason?: string,
 *   channel?: number | null}} Mark  reason: why there is no emotion.
 * @typedef {{p50: number, p95: number}} Percentiles  Milliseconds.
 */

export const MAX_FINALS = 10_000; // eight hours of conversation
const MAX_LINES = 40_000;
const TRIM = 10; // a tenth at a time: removing an array's head costs its length

export class SessionLog {
  /** @type {(Emotion & {key: string})[]}  In the order of speech. */
  finals = [];
  /** @type {OpenUtterance[]} */
  open = [];
  /** @type {Mark[]} */
  marks = [];
  /** How many finals were removed because there were too many. */
  removed = 0;
  /** How long the speech was whose label is not to be believed. */
  doubtfulMs = 0;
  /** @type {string[]} */
  labels = [];
  /** @type {number[]}  That are heard on their own, in order; empty where all are mixed. */
  channels = [];

  // The session in progress, and where it lies on this clock.
  #session = null;
  #offsetMs = 0;
  #lastSeq = 0;
  #earlierUtterances = 0; // numbers used by the sessions before
  #highestUtterance = 0;

  // The live edge: the latest position that was reported, and when.
  #edgeMs = 0;
  #edgeAt = 0;
  #running = false;

  #lines = []; // messages of the wire
  #speech = new Map(); // label -> {ms, count}
  #latencies = { total: [], afterEndpoint: [] };

  /** Where the session's clock begins on this one. */
  get offsetMs() {
    return this.#offsetMs;
  }

  get session() {
    return this.#session;
  }

  /**
   * @param {ServerEvent} event
   * @param {object | null} wire  The message as it was received.
   * @param {number} now  Milliseconds on a monotonic clock.
   * @param {number | null} [offsetMs]  Where a new session's clock begins; null: after the live edge.
   * @returns {ServerEvent | null} The event on this clock; null if it was appended before.
   */
  append(event, wire, now, offsetMs = null) {
    if (event.type === "ready") return this.#onReady(event, now, offsetMs);
    if (event.seq > 0) {
      if (event.seq <= this.#lastSeq) return null;
      this.#lastSeq = event.seq;
    }
    const shifted = this.#shifted(event);
    const interim = shifted.type === "emotion" && !shifted.final; // its place is taken by the final
    if (wire !== null && !interim) this.#addLine(wire);
    this.#addChannel(shifted.channel ?? null);
    switch (shifted.type) {
      case "speech_started": {
        const { startMs, channel } = shifted;
        this.advance(startMs, now);
        this.open = [...this.open, { key: this.#key(shifted), startMs, channel, emotion: null }];
        break;
      }
      case "emotion":
        this.advance(shifted.endMs + (shifted.final ? (shifted.timing?.endpoint ?? 0) : 0), now);
        this.#addEmotion({ ...shifted, key: this.#key(shifted) });
        break;
      case "no_emotion":
        this.advance(shifted.endMs, now);
        this.#removeOpen(this.#key(shifted));
        this.#addNoEmotion(shifted);
        break;
      case "dropped": {
        const toMs = shifted.atMs === null ? this.liveEdgeMs(now) : shifted.atMs + shifted.ms;
        this.#addMark({ kind: "lost", fromMs: Math.max(0, toMs - shifted.ms), toMs });
        break;
      }
      case "error":
        if (shifted.utterance !== null) this.#removeOpen(this.#key(shifted));
        break;
      case "closed":
        this.open = [];
        this.stopClock(now);
        // What the clock has run on while the last results came was no audio.
        if (shifted.totals !== null) this.#edgeMs = Math.max(this.#offsetMs + shifted.totals.audioMs, this.#lastEndMs());
        break;
    }
    return shifted;
  }

  /** Connected: the clock runs. */
  startClock(now) {
    this.#edgeMs = this.liveEdgeMs(now);
    this.#edgeAt = now;
    this.#running = true;
  }

  stopClock(now) {
    this.advance(this.liveEdgeMs(now), now);
    this.#running = false;
  }

  /** The position that the source has reached, as far as it is known. */
  liveEdgeMs(now) {
    return this.#running ? this.#edgeMs + (now - this.#edgeAt) : this.#edgeMs;
  }

  /** The source has reached this position. */
  advance(ms, now) {
    if (ms < this.liveEdgeMs(now)) return;
    this.#edgeMs = ms;
    this.#edgeAt = now;
  }

  /** @returns {{label: string, ms: number, count: number, share: number}[]} Shares of the duration of speech. */
  shares() {
    const others = [...this.#speech.keys()].filter((label) => !this.labels.includes(label));
    const total = [...this.#speech.values()].reduce((sum, { ms }) => sum + ms, 0);
    return [...this.labels, ...others].map((label) => {
      const { ms = 0, count = 0 } = this.#speech.get(label) ?? {};
      return { label, ms, count, share: total > 0 ? ms / total : 0 };
    });
  }

  /**
   * Latency of the finals. total: from the end of speech to the event. afterEndpoint: from the moment at which
   * the pause was long enough to end the utterance.
   *
   * @returns {{count: number, total: Percentiles | null, afterEndpoint: Percentiles | null}}
   */
  latency() {
    const { total, afterEndpoint } = this.#latencies;
    return { count: total.length, total: percentiles(total), afterEndpoint: percentiles(afterEndpoint) };
  }

  /**
   * @returns {readonly string[]} JSON, one event each as the server sent it, without interim results, on its
   *   session's own clock. Where `seq` decreases another session begins.
   */
  get lines() {
    return this.#lines;
  }

  #onReady(ready, now, offsetMs) {
    if (ready.labels.length > 0) this.labels = ready.labels;
    if (ready.session !== this.#session) {
      const first = this.#session === null;
      this.#offsetMs = Math.round(offsetMs ?? (first ? 0 : Math.ceil(this.liveEdgeMs(now) / 1_000) * 1_000));
      this.#session = ready.session;
      this.#lastSeq = 0;
      this.#earlierUtterances = this.#highestUtterance;
      this.open = [];
      if (!first) this.#addMark({ kind: "session", fromMs: this.#offsetMs, toMs: this.#offsetMs });
      this.advance(this.#offsetMs, now);
    }
    this.advance(this.#offsetMs + ready.clockMs, now);
    return ready;
  }

  #key({ utterance }) {
    return `${this.#session}/${utterance}`;
  }

  /** On this clock, and with utterance numbers that continue. */
  #shifted(event) {
    const shifted = { ...event };
    for (const time of ["startMs", "endMs", "atMs"]) {
      if (Number.isFinite(event[time])) shifted[time] += this.#offsetMs;
    }
    if (Number.isInteger(event.utterance)) {
      shifted.utterance += this.#earlierUtterances;
      this.#highestUtterance = Math.max(this.#highestUtterance, shifted.utterance);
    }
    return shifted;
  }

  #addEmotion(emotion) {
    if (!emotion.final) {
      this.open = this.open.map((entry) => (entry.key === emotion.key ? { ...entry, emotion } : entry));
      return;
    }
    this.#removeOpen(emotion.key);
    this.finals.push(emotion);
    const { ms = 0, count = 0 } = this.#speech.get(emotion.label) ?? {};
    if (emotion.reliable === false) this.doubtfulMs += emotion.endMs - emotion.startMs;
    this.#speech.set(emotion.label, { ms: ms + emotion.endMs - emotion.startMs, count: count + 1 });
    if (emotion.timing !== null) {
      this.#latencies.total.push(emotion.timing.total);
      this.#latencies.afterEndpoint.push(Math.max(0, emotion.timing.total - emotion.timing.endpoint));
    }
    if (this.finals.length > MAX_FINALS) {
      const surplus = MAX_FINALS / TRIM;
      this.finals.splice(0, surplus);
      this.#latencies.total.splice(0, surplus);
      this.#latencies.afterEndpoint.splice(0, surplus);
      this.removed += surplus;
    }
  }

  /** Of all that has a place on the timeline. */
  #lastEndMs() {
    return Math.max(this.finals.at(-1)?.endMs ?? 0, this.marks.at(-1)?.toMs ?? 0);
  }

  #removeOpen(key) {
    this.open = this.open.filter((entry) => entry.key !== key);
  }

  #addNoEmotion({ startMs, endMs, reason, channel }) {
    this.#addMark({ kind: "no_emotion", fromMs: startMs, toMs: endMs, reason, channel });
  }

  #addChannel(channel) {
    if (channel === null || this.channels.includes(channel)) return;
    this.channels = [...this.channels, channel].sort((a, b) => a - b);
  }

  #addMark(mark) {
    this.marks.push(mark);
    if (this.marks.length > MAX_FINALS) this.marks.splice(0, MAX_FINALS / TRIM);
  }

  #addLine(wire) {
    this.#lines.push(JSON.stringify(wire));
    if (this.#lines.length > MAX_LINES) this.#lines.splice(0, MAX_LINES / TRIM);
  }
}

/** By nearest rank; null if there are no values. */
function percentiles(values) {
  if (values.length === 0) return null;
  const sorted = Float64Array.from(values).sort();
  const rank = (p) => sorted[Math.max(0, Math.ceil(p * sorted.length) - 1)];
  return { p50: rank(0.5), p95: rank(0.95) };
}
