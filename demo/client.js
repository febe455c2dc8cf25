/**
 * A session of one's own with an emostream server, from any page: sound in, events out, over one websocket
 * that may break. docs/protocol.md is the contract, client.d.ts says every type. This file needs nothing
 * but a browser, and worklet.js beside it where it opens the microphone: copy both.
 *
 *     const sound = await microphone();
 *     const client = new EmostreamClient({
 *       url: "ws://127.0.0.1:8765/v1/stream",
 *       sampleRate: sound.sampleRate,
 *       onEvent: (event) => event.type === "emotion" && event.final && console.log(event.label, event.text),
 *     });
 *     for await (const block of sound) client.send(block);
 *
 * No DOM in here. Time, chance and network are handed in (`platform`), so that the logic runs anywhere.
 *
 * @typedef {import("./client.d.ts").ClientOptions} ClientOptions
 * @typedef {import("./client.d.ts").ClientState} ClientState
 * @typedef {import("./client.d.ts").FinalState} FinalState
 * @typedef {import("./client.d.ts").Platform} Platform
 * @typedef {import("./client.d.ts").Encoding} Encoding
 */

export const SUBPROTOCOL = "emostream.v1";

const FIRST_DELAY_MS = 500;
const LONGEST_DELAY_MS = 15_000;
const STABLE_AFTER_MS = 5_000; // a connection that lived this long starts the backoff afresh
const ANSWER_WITHIN_MS = 10_000; // for `ready` on a new socket
const SILENT_MS = 20_000; // a server that owes an answer and says nothing for so long is not there any more
const MESSAGE_MS = 250; // of sound at most, so that credit is used evenly
const QUEUE_MS = 15_000;
const LONGEST_GAP_MS = 24 * 3_600_000;
const ACK_EVERY_MS = 1_000;
const MARKS_AHEAD = 48; // the server closes at 64 messages beside audio that its session has not taken

// Trying again with the same request cannot help, or would fight for the session with another socket.
const FINAL_CODES = new Set([1009, 4400, 4401, 4403, 4408, 4409, 4410, 4429]);

/** @type {() => Platform} */
const browser = () => ({
  WebSocket,
  setTimeout: (run, ms) => setTimeout(run, ms),
  clearTimeout: (timer) => clearTimeout(timer),
  random: Math.random,
  now: () => performance.now(),
});

/**
 * Exponential backoff with full jitter, so that a room of clients does not return to a restarted server at
 * once.
 *
 * @param {number} attempt  0 for the first try after a break.
 * @param {number} random  In [0, 1).
 * @returns {number} Milliseconds.
 */
export function fullJitterMs(attempt, random) {
  return Math.round(random * Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** Math.min(attempt, 10)));
}

/**
 * One session, which outlives its sockets. It connects as soon as it is made, and comes back after a break
 * until it has ended, is refused, or is closed.
 */
export class EmostreamClient {
  /**
   * Resolves with the last state: `ended`, `refused` or `closed`. Never rejects.
   *
   * @type {Promise<FinalState>}
   */
  finished;

  #platform;
  #url;
  #start; // the first message: the same fields each time, since a resume with others is refused
  #onEvent;
  #onState;
  #encoding;
  #waits; // whether a full queue is the caller's to wait for

  // Sound that is on its way in, and what is known to have come.
  #tape;
  #rest = new Uint8Array(0); // of a sample frame that the caller's cut went through
  #stopped = false;
  #room = null; // {promise, resolve}: what callers wait for while the queue is full, one for all

  // The socket, and the only timer: for `ready`, for a sign of life, or for the next try.
  #socket = null;
  #abandoned = null; // a socket that does not answer
  #limits = null; // null: not live
  #liveSince = null;
  #timer = null;
  #awaitsSign = false;
  #attempt = 0;
  #error = null; // the fatal `error` of this socket

  // The session, as far as it has been heard of.
  #session = null;
  #secret = null; // null: there is nothing to come back to
  #lastSeq = 0;
  #judgedMs = 0; // finals cover its clock up to here
  #closed = null;
  #startMs = 0; // where its clock begins on the client's own, which counts all sound and all gaps

  #over = null;
  #finish;

  /** @param {ClientOptions} settings */
  constructor({
    url,
    sampleRate,
    encoding = "pcm_s16le",
    channels = 1,
    language,
    token,
    options,
    queueMs = QUEUE_MS,
    whenFull = "drop",
    onEvent = () => {},
    onState = () => {},
    platform = browser(),
  }) {
    expect(["pcm_s16le", "pcm_f32le"].includes(encoding), "encoding", "pcm_s16le or pcm_f32le", encoding);
    expect(isWhole(sampleRate, 8_000, 96_000), "sampleRate", "a whole number of 8000 to 96000", sampleRate);
    expect(isWhole(channels, 1, 8), "channels", "1 to 8", channels);
    expect(["drop", "wait"].includes(whenFull), "whenFull", "drop or wait", whenFull);
    expect(queueMs >= 100, "queueMs", "at least 100", queueMs);
    this.#url = socketAddress(url);
    this.#encoding = encoding;
    this.#waits = whenFull === "wait";
    // JSON leaves out what is undefined.
    this.#start = { type: "start", encoding, sample_rate: sampleRate, channels, language, token, options };
    this.#onEvent = onEvent;
    this.#onState = onState;
    this.#platform = platform;
    this.#tape = new Tape(sampleRate, channels * (encoding === "pcm_s16le" ? 2 : 4), queueMs);
    const finished = awaited();
    this.finished = finished.promise;
    this.#finish = finished.resolve;
    this.#connect();
  }

  /** Milliseconds of sound that wait to be sent. */
  get unsentMs() {
    return this.#tape.unsentMs;
  }

  /** Milliseconds of sound that were sent and are kept until the server has acknowledged them. */
  get unacknowledgedMs() {
    return this.#tape.unacknowledgedMs;
  }

  /**
   * Sound, in any cut: bytes in the announced encoding, or samples (channels interleaved), which are
   * converted where they must be. It is copied.
   *
   * @param {ArrayBuffer | ArrayBufferView} data
   * @returns {Promise<void>} Resolves once the queue has room. With `whenFull: "wait"` it must be awaited;
   *   with "drop" it need not be: what is too much is then dropped, the oldest first, and told by a `gap`.
   */
  send(data) {
    this.#check();
    if (this.#waits && this.#tape.isFull) {
      throw new Error("expected the promise of the last send() to be awaited, got sound for a full queue");
    }
    const bytes = joined(this.#rest, encoded(data, this.#encoding));
    const whole = bytes.length - (bytes.length % this.#tape.frameBytes);
    this.#rest = bytes.slice(whole);
    this.#tape.addSound(bytes.subarray(0, whole));
    if (!this.#waits) this.#tape.dropSurplus();
    this.#pump();
    if (this.#over !== null || !this.#tape.isFull) return Promise.resolve();
    this.#room ??= awaited();
    return this.#room.promise;
  }

  /**
   * Sound that the caller had to drop, here: the clock moves on.
   *
   * @param {number} ms
   */
  gap(ms) {
    this.#check();
    expect(Number.isFinite(ms) && ms > 0, "gap", "milliseconds above 0", ms);
    this.#tape.addGap(ms);
    this.#pump();
  }

  /** End the utterance in progress behind the sound that was given so far. */
  flush() {
    this.#check();
    this.#tape.addFlush();
    this.#pump();
  }

  /** No more sound. The finals still come, then `closed`, and `finished` resolves. */
  stop() {
    if (this.#stopped || this.#over !== null) return;
    this.#stopped = true;
    this.#tape.addStop();
    this.#pump();
  }

  /** End at once: nothing more is sent, no event is told any more. */
  close() {
    const socket = this.#socket;
    this.#let();
    socket?.close(1000);
    this.#end({ phase: "closed", unheardMs: this.#unheardMs });
  }

  /** Do not wait for the next try, for instance because the network is back. */
  retryNow() {
    if (this.#over !== null || this.#socket !== null) return;
    this.#platform.clearTimeout(this.#timer);
    this.#connect();
  }

  get #unheardMs() {
    return this.unsentMs + this.unacknowledgedMs;
  }

  #check() {
    if (this.#over !== null) throw new Error(`expected a session that goes on, got one that is ${this.#over}`);
    if (this.#stopped) throw new Error("expected nothing behind stop(), got more; begin another session");
  }

  #connect() {
    this.#error = null;
    this.#liveSince = null;
    const socket = new this.#platform.WebSocket(this.#url, SUBPROTOCOL);
    this.#socket = socket;
    socket.onopen = () => socket.send(JSON.stringify(this.#firstMessage()));
    socket.onmessage = ({ data }) => this.#hear(data);
    socket.onclose = ({ code }) => this.#broke(code);
    this.#after(ANSWER_WITHIN_MS, () => this.#abandon("the server does not answer"));
    this.#tell({ phase: "connecting", attempt: this.#attempt });
  }

  #firstMessage() {
    if (this.#secret === null) return this.#start;
    const resume = { session: this.#session, secret: this.#secret, last_seq: this.#lastSeq };
    return { ...this.#start, resume };
  }

  #hear(data) {
    const message = parsed(data);
    if (message === null) return;
    if (this.#awaitsSign) this.#disarm();
    if (message.type === "ready") this.#welcome(message);
    else if (message.type === "ack") this.#tape.acknowledge(Number(message.received_samples) || 0);
    else this.#deliver(message);
    this.#pump();
  }

  #welcome(ready) {
    if (this.#limits !== null || typeof ready.session !== "string") return;
    this.#platform.clearTimeout(this.#timer);
    this.#liveSince = this.#platform.now();
    this.#closeAbandoned();
    const loss = ready.resumed === true ? this.#goOn(ready) : this.#beginAnew(ready);
    const { message_bytes: bytes = 4_096, ahead_ms: ahead = 1_000 } = ready.limits ?? {};
    this.#limits = this.#tape.limits(bytes, ahead);
    if (loss !== null) this.#tell({ phase: "lost", ...loss });
    if (this.#limits !== null) this.#tell({ phase: "live", ready, startMs: this.#startMs });
  }

  #goOn(ready) {
    this.#tape.rewind(ready.received_samples ?? 0, ready.received_gap_ms ?? 0);
    const from = ready.lost_from_seq ?? null;
    return from === null ? null : { session: this.#session, lostFromSeq: from, lostAudioMs: 0 };
  }

  /** What is held of the old session's sound is given to the new one, but for what was judged already. */
  #beginAnew(ready) {
    const old = this.#session;
    const { lostMs, startMs } = this.#tape.restart(this.#judgedMs);
    // An old session that said `closed` has told all that it knew.
    const lost = old !== null && this.#closed === null;
    const loss = lost
      ? { session: old, lostFromSeq: ready.lost_from_seq ?? this.#lastSeq + 1, lostAudioMs: lostMs }
      : null;
    this.#session = ready.session;
    this.#secret = typeof ready.secret === "string" ? ready.secret : null;
    this.#lastSeq = this.#judgedMs = 0;
    this.#closed = null;
    this.#startMs += startMs;
    return loss;
  }

  /** An event, once. What has no place in the session (a refusal) is told as a state. */
  #deliver(event) {
    if (event.type === "error" && event.fatal === true) this.#error = event;
    if (!Number.isInteger(event.seq) || event.seq <= this.#lastSeq) return;
    this.#lastSeq = event.seq;
    if (event.type === "closed") this.#sayGoodbye(event);
    if (event.type === "emotion" && event.final === true) {
      this.#judgedMs = Math.max(this.#judgedMs, Number(event.end_ms) || 0);
    }
    this.#onEvent(event);
  }

  /** The close code is worth waiting for, but not for ever. */
  #sayGoodbye(closed) {
    this.#closed = closed;
    this.#after(ANSWER_WITHIN_MS, () => this.#abandon("the server does not close"));
  }

  /** As much as the credit allows. */
  #pump() {
    if (this.#limits === null || this.#closed !== null) return;
    for (let message; (message = this.#tape.next(this.#limits)) !== null; ) this.#socket.send(message);
    if (!this.#tape.isFull) this.#makeRoom();
    if (this.#tape.awaitsAnswer && !this.#awaitsSign) {
      this.#awaitsSign = true;
      this.#after(SILENT_MS, () => this.#abandon("the server has gone silent"));
    }
  }

  #makeRoom() {
    this.#room?.resolve();
    this.#room = null;
  }

  #disarm() {
    this.#awaitsSign = false;
    this.#platform.clearTimeout(this.#timer);
  }

  /**
   * A socket without a server behind it may take minutes to say so. It is closed when another one is live and
   * not before: a server that does hear of the close might take its last words for read.
   */
  #abandon(why) {
    this.#abandoned?.close();
    this.#abandoned = this.#socket;
    this.#broke(1006, why);
  }

  #closeAbandoned() {
    this.#abandoned?.close();
    this.#abandoned = null;
  }

  #broke(code, why = this.#error?.message ?? "") {
    const [error, closed] = [this.#error, this.#closed];
    this.#let();
    if (closed !== null && (closed.reason !== "shutting_down" || this.#tape.isHeard)) {
      const { reason, totals } = closed;
      this.#end({ phase: "ended", reason, totals, code, error, unheardMs: this.#unheardMs });
    } else if (FINAL_CODES.has(code)) {
      this.#end({ phase: "refused", code, error, why, unheardMs: this.#unheardMs });
    } else {
      // A session that has ended, or that broke the server, is not the place to go on.
      if (closed !== null || error?.code === "internal") this.#secret = null;
      this.#retry(code, error, why);
    }
  }

  #retry(code, error, why) {
    const livedMs = this.#liveSince === null ? 0 : this.#platform.now() - this.#liveSince;
    if (livedMs > STABLE_AFTER_MS) this.#attempt = 0;
    const asked = Number.isFinite(error?.retry_after_ms) ? Math.max(0, error.retry_after_ms) : 0;
    const delayMs = asked + fullJitterMs(this.#attempt++, this.#platform.random());
    this.#after(delayMs, () => this.#connect());
    this.#tell({ phase: "reconnecting", delayMs, code, error, why });
  }

  /** Let go of the socket: whatever it still says is not heard. */
  #let() {
    if (this.#socket !== null) this.#socket.onopen = this.#socket.onmessage = this.#socket.onclose = null;
    this.#socket = this.#limits = null;
    this.#disarm();
  }

  #end(state) {
    if (this.#over !== null) return;
    this.#over = state.phase;
    this.#closeAbandoned();
    this.#makeRoom();
    this.#finish(state);
    this.#tell(state);
  }

  #after(ms, run) {
    this.#timer = this.#platform.setTimeout(run, ms);
  }

  /** @param {ClientState} state */
  #tell(state) {
    this.#onState(state);
  }
}

/**
 * What is on its way in: sound, gaps, flushes and the stop, in order. First what was sent and is not
 * acknowledged, then what is not sent. Positions are sample frames of the session's sound, which gaps do not
 * count in, and are given when something is sent: sound that was dropped before never had one.
 */
class Tape {
  #entries = [];
  #next = 0; // the first entry that is not sent
  #acked = 0;
  #sent = 0;
  #sentGapMs = 0;
  #ackedGapMs = 0; // of the gaps that have left the tape
  #unsent = 0; // sample frames
  #carryMs = 0; // gaps are said in whole milliseconds: what is over goes into the next one

  constructor(rate, frameBytes, queueMs) {
    this.frameBytes = frameBytes;
    this.rate = rate;
    this.most = this.#frames(queueMs);
  }

  get isFull() {
    return this.#unsent >= this.most;
  }

  get unsentMs() {
    return this.#ms(this.#unsent);
  }

  get unacknowledgedMs() {
    return this.#ms(this.#sent - this.#acked);
  }

  /** Whether no sound is left that the server has not acknowledged, nor will there be any. */
  get isHeard() {
    return this.#entries.at(-1)?.kind === "stop" && this.#entries.every(({ kind }) => kind !== "sound");
  }

  /** Whether the server owes an answer: an ack that gives credit, or `closed` behind the stop. */
  get awaitsAnswer() {
    return this.#next < this.#entries.length || this.#entries.at(-1)?.kind === "stop";
  }

  limits(messageBytes, aheadMs) {
    const ahead = Math.max(1, this.#frames(aheadMs));
    return {
      ahead,
      message: Math.max(1, Math.min(this.#frames(MESSAGE_MS), Math.floor(messageBytes / this.frameBytes))),
      ackEvery: Math.min(this.#frames(ACK_EVERY_MS), Math.floor(ahead / 5)),
    };
  }

  addSound(bytes) {
    if (bytes.length === 0) return;
    const frames = bytes.length / this.frameBytes;
    this.#entries.push({ kind: "sound", bytes, frames, at: null });
    this.#unsent += frames;
  }

  addGap(ms) {
    const last = this.#entries.at(-1);
    if (this.#next < this.#entries.length && last.kind === "gap") last.ms += ms;
    else this.#entries.push(gapOf(ms));
  }

  /** A second one changes nothing, unless sound lies between. */
  addFlush() {
    for (let i = this.#entries.length - 1; i >= 0 && this.#entries[i].kind !== "sound"; i--) {
      if (this.#entries[i].kind === "flush") return;
    }
    this.#entries.push({ kind: "flush", at: null });
  }

  addStop() {
    this.#entries.push({ kind: "stop", at: null });
  }

  /** The oldest that is not sent gives way, and a gap takes its place. */
  dropSurplus() {
    if (this.#unsent <= this.most) return;
    for (let i = this.#next; this.#unsent > this.most; i++) {
      if (this.#entries[i].kind !== "sound") continue;
      if (this.#entries[i].frames > this.#unsent - this.most) this.#split(i, this.#unsent - this.most);
      const { frames } = this.#entries[i];
      this.#entries[i] = gapOf(this.#ms(frames));
      this.#unsent -= frames;
    }
    this.#tidy();
  }

  /** Between two pieces of sound one gap, one flush and one gap say all: a second flush changes nothing. */
  #tidy() {
    let end = this.#next;
    while (end < this.#entries.length && this.#entries[end].kind !== "sound") end++;
    const tidied = [];
    for (const entry of this.#entries.slice(this.#next, end)) {
      const last = tidied.at(-1);
      if (entry.kind === "flush" && tidied.some(({ kind }) => kind === "flush")) continue;
      if (entry.kind === "gap" && last?.kind === "gap") last.ms += entry.ms;
      else tidied.push(entry);
    }
    this.#entries.splice(this.#next, end - this.#next, ...tidied);
  }

  /**
   * The next message, counted as sent; null where there is none, or where the credit is used up.
   *
   * @returns {Uint8Array | string | null}
   */
  next({ ahead, message, ackEvery }) {
    while (this.#next < this.#entries.length) {
      const entry = this.#entries[this.#next];
      const inFlight = this.#sent - this.#acked;
      // A gap waits too: what more has to be dropped meanwhile is one with it.
      if (inFlight >= ahead && (entry.kind === "sound" || entry.kind === "gap")) return null;
      if (entry.kind === "sound") {
        if (entry.frames > message) this.#split(this.#next, message);
        entry.at = this.#sent;
        this.#sent += entry.frames;
        this.#unsent -= entry.frames;
        this.#next++;
        return entry.bytes;
      }
      // Only where an ack is sure to come: two that wait for each other would wait for ever.
      if (inFlight >= ackEvery && this.#marksAhead() >= MARKS_AHEAD) return null;
      const said = this.#say(entry);
      if (said !== null) return JSON.stringify(said);
    }
    return null;
  }

  #say(entry) {
    if (entry.kind === "gap") return this.#sayGap(entry);
    this.#next++;
    entry.at = this.#sent;
    return { type: entry.kind, at_samples: entry.at };
  }

  #sayGap(entry) {
    const ms = Math.min(LONGEST_GAP_MS, Math.floor(entry.ms + this.#carryMs));
    const rest = entry.ms + this.#carryMs - ms;
    this.#carryMs = rest < 1 ? rest : 0;
    this.#entries.splice(this.#next, 1, ...(rest < 1 ? [] : [gapOf(rest)]));
    if (ms === 0) return null;
    this.#sentGapMs += ms;
    const last = this.#entries[this.#next - 1];
    // What was said one behind the other is one: who tells each block that is missing fills no memory.
    if (last?.kind === "gap") {
      last.ms += ms;
      last.upToMs = this.#sentGapMs;
    } else {
      this.#entries.splice(this.#next++, 0, { ...gapOf(ms), at: this.#sent, upToMs: this.#sentGapMs });
    }
    return { type: "gap", ms };
  }

  #marksAhead() {
    let marks = 0;
    for (let i = 0; i < this.#next; i++) if (this.#entries[i].kind !== "sound") marks++;
    return marks;
  }

  /**
   * Sound up to here need not be kept. A mark goes with the sound behind it: that sound cannot have come
   * before the mark, whereas a mark at the very place may still be on its way.
   */
  acknowledge(position) {
    this.#acked = Math.max(this.#acked, Math.min(position, this.#sent));
    let gone = 0;
    while (gone < this.#next && this.#entries[gone].at < this.#acked) {
      const entry = this.#entries[gone];
      if (entry.kind === "sound" && entry.at + entry.frames > this.#acked) {
        this.#split(gone, this.#acked - entry.at);
      }
      if (entry.kind === "gap") this.#ackedGapMs += entry.ms;
      gone++;
    }
    this.#entries.splice(0, gone);
    this.#next -= gone;
  }

  /** A socket later: the session has had so much sound and so many milliseconds of gaps. */
  rewind(received, receivedGapMs) {
    let from = 0;
    for (let i = 0; i < this.#next; i++) {
      const entry = this.#entries[i];
      if (entry.kind === "sound" && entry.at < received) {
        if (entry.at + entry.frames > received) this.#split(i, received - entry.at);
        from = i + 1;
      } else if (entry.kind === "gap" && entry.upToMs - entry.ms < receivedGapMs) {
        if (entry.upToMs > receivedGapMs) this.#splitGap(i, receivedGapMs);
        from = i + 1;
      }
    }
    this.#next = from;
    this.#sent = received;
    this.#sentGapMs = receivedGapMs;
    this.#countUnsent();
  }

  /**
   * A session later: all that is held is to be sent, but for what finals of the old one cover.
   *
   * @param {number} judgedMs  On the old session's clock.
   * @returns {{lostMs: number, startMs: number}}  lostMs: sound that the old session took with it. startMs:
   *   where the new one's clock begins on the old one's.
   */
  restart(judgedMs) {
    const heldFromMs = this.#ms(this.#acked) + this.#ackedGapMs;
    let clock = heldFromMs;
    while (this.#entries.length > 0 && clock < judgedMs && this.#entries[0].kind !== "stop") {
      const [entry] = this.#entries;
      if (entry.kind === "sound" && clock + this.#ms(entry.frames) > judgedMs) {
        this.#split(0, Math.min(entry.frames, Math.ceil(((judgedMs - clock) * this.rate) / 1_000)));
      }
      clock += entry.kind === "sound" ? this.#ms(entry.frames) : (entry.ms ?? 0);
      this.#entries.shift();
    }
    this.#next = this.#acked = this.#sent = this.#sentGapMs = this.#ackedGapMs = 0;
    this.#countUnsent();
    return { lostMs: Math.max(0, heldFromMs - judgedMs), startMs: clock };
  }

  /** Cut entry `i` behind so many frames: it keeps its head, and its tail follows it. */
  #split(i, frames) {
    const entry = this.#entries[i];
    if (frames >= entry.frames) return;
    const cut = frames * this.frameBytes;
    const at = entry.at === null ? null : entry.at + frames;
    const tail = { kind: "sound", bytes: entry.bytes.subarray(cut), frames: entry.frames - frames, at };
    entry.bytes = entry.bytes.subarray(0, cut);
    entry.frames = frames;
    this.#entries.splice(i + 1, 0, tail);
    if (i < this.#next) this.#next++;
  }

  /** Cut gap `i`, of which the server has had the head: all gaps up to it are so long. */
  #splitGap(i, upToMs) {
    const entry = this.#entries[i];
    const tail = { ...entry, ms: entry.upToMs - upToMs };
    Object.assign(entry, { ms: entry.ms - tail.ms, upToMs });
    this.#entries.splice(i + 1, 0, tail);
    this.#next++;
  }

  #countUnsent() {
    this.#unsent = 0;
    for (let i = this.#next; i < this.#entries.length; i++) this.#unsent += this.#entries[i].frames ?? 0;
  }

  #ms(frames) {
    return (frames * 1_000) / this.rate;
  }

  #frames(ms) {
    return Math.floor((ms * this.rate) / 1_000);
  }
}

/** upToMs: of all gaps that were sent, up to and with this one. */
const gapOf = (ms) => ({ kind: "gap", ms, upToMs: null, at: null });

/** Why there is no sound from the microphone. `code` is stable. */
export class MicrophoneError extends Error {
  /**
   * @param {"refused" | "missing" | "gone" | "busy" | "insecure" | "unread" | "failed"} code
   * @param {string} message
   * @param {unknown} [cause]
   */
  constructor(code, message, cause) {
    super(message, { cause });
    this.name = "MicrophoneError";
    this.code = code;
  }
}

const BLOCK_MS = 20;
const UNREAD_BLOCKS = 500; // ten seconds

// Prosody and loudness carry the emotion, and these change both.
const UNTOUCHED = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };

/**
 * Open the microphone: an async source of mono blocks of Float32 samples at `sampleRate`, once. Throws
 * MicrophoneError. To be called from a click, or the browser holds the sound back.
 *
 * @param {object} [settings]
 * @param {string} [settings.deviceId]  One of `navigator.mediaDevices.enumerateDevices()`.
 * @param {AbortSignal} [settings.signal]  Ends the source as `stop()` does.
 * @param {MediaTrackConstraints} [settings.constraints]  On top of unprocessed mono sound.
 * @returns {Promise<import("./client.d.ts").Microphone>}
 */
export async function microphone({ deviceId, signal, constraints = {} } = {}) {
  signal?.throwIfAborted();
  const wanted = { channelCount: 1, ...UNTOUCHED, ...constraints };
  if (deviceId !== undefined) wanted.deviceId = { exact: deviceId };
  const stream = await askForSound(wanted, signal);
  const blocks = new Blocks();
  let context = null;
  const stop = () => {
    signal?.removeEventListener("abort", stop);
    for (const track of stream.getTracks()) track.stop();
    if (context !== null && context.state !== "closed") context.close();
    blocks.end();
  };
  blocks.onReturn = stop;
  signal?.addEventListener("abort", stop);
  try {
    signal?.throwIfAborted();
    context = soundContext();
    await capture(context, stream, blocks);
    signal?.throwIfAborted();
  } catch (error) {
    stop();
    if (signal?.aborted) throw signal.reason;
    throw new MicrophoneError("failed", `expected sound from the microphone, got: ${error.message}`, error);
  }
  const [track] = stream.getAudioTracks();
  track.onended = () => {
    blocks.end(new MicrophoneError("gone", "expected the microphone to stay, got none; was it unplugged?"));
    stop();
  };
  return { sampleRate: context.sampleRate, label: track.label, stop, [Symbol.asyncIterator]: () => blocks };
}

async function askForSound(audio, signal) {
  if (!globalThis.navigator?.mediaDevices) {
    const message = "expected a page over https or from localhost, got another: browsers give it no microphone";
    throw new MicrophoneError("insecure", message);
  }
  const asked = navigator.mediaDevices.getUserMedia({ audio });
  try {
    return await unless(signal, asked);
  } catch (error) {
    if (signal?.aborted) {
      // The person may still say yes: nobody listens then.
      asked.then(
        (stream) => stream.getTracks().forEach((track) => track.stop()),
        () => {},
      );
      throw signal.reason;
    }
    const [code, message] = REFUSALS[error.name] ?? ["failed", `expected a microphone, got: ${error.message}`];
    throw new MicrophoneError(code, message, error);
  }
}

/** What the promise gives, or a rejection as soon as the signal says so. */
function unless(signal, promise) {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason);
    signal.addEventListener("abort", stop, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", stop));
  });
}

const NO_MICROPHONE = ["missing", "expected a microphone, found none; connect one, or choose another"];
const NO_LEAVE = ["refused", "expected leave to listen, got none; allow this page the microphone in the browser"];
const REFUSALS = {
  NotAllowedError: NO_LEAVE,
  SecurityError: NO_LEAVE,
  NotFoundError: NO_MICROPHONE,
  OverconstrainedError: NO_MICROPHONE,
  NotReadableError: ["busy", "expected a free microphone, got a busy one; close the program that uses it"],
};

/** At the sound card's own rate, unless that is more than the protocol takes. */
function soundContext() {
  const context = new AudioContext();
  if (context.sampleRate <= 96_000) return context;
  context.close();
  return new AudioContext({ sampleRate: 48_000 });
}

async function capture(context, stream, blocks) {
  await context.audioWorklet.addModule(new URL("./worklet.js", import.meta.url));
  const frames = Math.round((context.sampleRate * BLOCK_MS) / 1_000);
  const node = new AudioWorkletNode(context, "emostream-blocks", { processorOptions: { frames } });
  node.port.onmessage = ({ data }) => blocks.add(data);
  // It puts out silence, but a node that leads nowhere need not be run.
  context.createMediaStreamSource(stream).connect(node).connect(context.destination);
  await context.resume();
}

/** Blocks from a producer that cannot wait to one reader. A reader that stays away ends it: `unread`. */
class Blocks {
  onReturn = () => {};
  #waiting = [];
  #readers = []; // at most one, unless somebody calls next() twice
  #over = false;
  #error = null;

  add(block) {
    if (this.#over) return;
    if (this.#readers.length > 0) return this.#readers.shift()({ value: block, done: false });
    if (this.#waiting.push(block) <= UNREAD_BLOCKS) return;
    const length = `${(UNREAD_BLOCKS * BLOCK_MS) / 1_000} s`;
    this.end(new MicrophoneError("unread", `expected a reader of the sound, got ${length} that nobody read`));
    this.onReturn();
  }

  end(error = null) {
    if (this.#over) return;
    this.#over = true;
    this.#error = error;
    for (const resolve of this.#readers.splice(0)) resolve(this.next());
  }

  next() {
    if (this.#waiting.length > 0) return Promise.resolve({ value: this.#waiting.shift(), done: false });
    if (this.#error !== null) {
      const error = this.#error;
      this.#error = null; // said once
      return Promise.reject(error);
    }
    if (this.#over) return Promise.resolve({ value: undefined, done: true });
    return new Promise((resolve) => this.#readers.push(resolve));
  }

  return() {
    this.onReturn();
    this.#waiting.length = 0;
    return Promise.resolve({ value: undefined, done: true });
  }

  [Symbol.asyncIterator]() {
    return this;
  }
}

/**
 * A recording as mono blocks of Float32 samples.
 *
 * @param {Blob} file
 * @param {object} [settings]
 * @param {number} [settings.pace]  1: as fast as it was spoken, 2: twice as fast; Infinity: as fast as it
 *   is read.
 * @param {number} [settings.sampleRate]  It is resampled to this.
 * @param {number} [settings.blockMs]
 * @param {AbortSignal} [settings.signal]
 * @param {(ms: number) => void} [settings.onLength]  Told how long it is before the first block.
 * @param {Pick<Platform, "now" | "setTimeout">} [settings.platform]
 * @returns {AsyncGenerator<Float32Array, void, void>}
 */
export async function* fileBlocks(
  file,
  { pace = 1, sampleRate = 16_000, blockMs = 100, signal, onLength, platform = browser() } = {},
) {
  expect(pace > 0, "pace", "above 0", pace);
  const samples = await decoded(file, sampleRate);
  if (signal?.aborted) return;
  onLength?.((samples.length * 1_000) / sampleRate);
  const frames = Math.max(1, Math.round((sampleRate * blockMs) / 1_000));
  const began = platform.now();
  for (let first = 0; first < samples.length && !signal?.aborted; first += frames) {
    const block = samples.subarray(first, first + frames);
    // A block is there when its last sample was spoken.
    const dueMs = ((first + block.length) * 1_000) / sampleRate / pace;
    const earlyMs = dueMs - (platform.now() - began);
    if (earlyMs > 0) await new Promise((resolve) => platform.setTimeout(resolve, earlyMs));
    if (!signal?.aborted) yield block;
  }
}

async function decoded(file, sampleRate) {
  const data = await file.arrayBuffer();
  let sound;
  try {
    // Of the two kinds of context this one needs no click and no loudspeaker.
    sound = await new OfflineAudioContext(1, 1, sampleRate).decodeAudioData(data);
  } catch (error) {
    const message = `expected a recording that this browser can decode, got ${file.name ?? "another"}`;
    throw new Error(message, { cause: error });
  }
  const channels = Array.from({ length: sound.numberOfChannels }, (_, i) => sound.getChannelData(i));
  if (channels.length === 1) return channels[0];
  return channels[0].map((_, i) => channels.reduce((sum, one) => sum + one[i], 0) / channels.length);
}

/** A copy in the encoding; every browser runs on machines that put the low byte first. */
function encoded(data, encoding) {
  if (data instanceof Float32Array) return bytesOf(encoding === "pcm_f32le" ? data.slice() : toInt16(data));
  if (data instanceof Int16Array) {
    return bytesOf(encoding === "pcm_s16le" ? data.slice() : Float32Array.from(data, (x) => x / 32_768));
  }
  if (data instanceof ArrayBuffer) return new Uint8Array(data.slice(0));
  if (data instanceof Uint8Array || data instanceof DataView) return bytesOf(data).slice();
  const got = Object.prototype.toString.call(data);
  throw new TypeError(`expected an ArrayBuffer, Uint8Array, DataView, Int16Array or Float32Array, got ${got}`);
}

const toInt16 = (samples) => Int16Array.from(samples, (x) => Math.max(-32_768, Math.min(32_767, x * 32_768)));
const bytesOf = (view) => new Uint8Array(view.buffer, view.byteOffset, view.byteLength);

function joined(head, tail) {
  if (head.length === 0) return tail;
  const both = new Uint8Array(head.length + tail.length);
  both.set(head);
  both.set(tail, head.length);
  return both;
}

/** A promise, and how to keep it. */
function awaited() {
  let resolve;
  const promise = new Promise((keep) => (resolve = keep));
  return { promise, resolve };
}

function socketAddress(url) {
  const address = new URL(url);
  address.protocol = address.protocol.replace(/^http/, "ws");
  if (address.pathname === "/") address.pathname = "/v1/stream";
  return address.href;
}

/** A message of the server, null where it is none. */
function parsed(data) {
  if (typeof data !== "string") return null;
  try {
    const message = JSON.parse(data);
    return typeof message?.type === "string" ? message : null;
  } catch {
    return null;
  }
}

const isWhole = (value, least, most) => Number.isInteger(value) && value >= least && value <= most;

function expect(holds, name, wanted, got) {
  if (!holds) throw new RangeError(`expected ${name} to be ${wanted}, got ${got}`);
}
