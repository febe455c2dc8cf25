/**
 * A client of an emostream server for any web page: audio in, events out, over one websocket that may break.
 * docs/protocol.md is the contract, client.d.ts declares every type. Needs a browser and nothing else. Copy it
 * together with send_queue.js, repeated_results.js, backoff.js, microphone.js, capture_monitor.js, file_audio.js
 * and worklet.js.
 *
 *     const audio = await microphone();
 *     const client = new EmostreamClient({
 *       url: "ws://127.0.0.1:8765/v1/stream",
 *       sampleRate: audio.sampleRate,
 *       onEvent: (event) => event.type === "emotion" && event.final && console.log(event.label, event.text),
 *     });
 *     for await (const block of audio) client.send(block);
 *
 * No DOM in here. Time, randomness and network are arguments (`platform`), so that the logic runs anywhere.
 *
 * @typedef {import("./client.d.ts").ClientOptions} ClientOptions
 * @typedef {import("./client.d.ts").ClientState} ClientState
 * @typedef {import("./client.d.ts").Encoding} Encoding
 * @typedef {import("./client.d.ts").FinalState} FinalState
 */
import { ReconnectLoop, browserPlatform, closeOutcome } from "./backoff.js";
import { AudioGap } from "./capture_monitor.js";
import { RepeatedResults } from "./repeated_results.js";
import { SendQueue } from "./send_queue.js";

export { AudioGap } from "./capture_monitor.js";
export { fileBlocks } from "./file_audio.js";
export { MicrophoneError, microphone } from "./microphone.js";

export const SUBPROTOCOL = "emostream.v1";

const REPLY_TIMEOUT_MS = 10_000; // for `ready` on a new socket, and for the close after `closed`
const SILENCE_TIMEOUT_MS = 20_000; // a server that owes a message and sends none for so long is gone
const QUEUE_MS = 15_000;

/** Of each encoding. mulaw and alaw are sent as they come, in bytes. */
const SAMPLE_BYTES = { pcm_s16le: 2, pcm_f32le: 4, mulaw: 1, alaw: 1 };

/**
 * One session, which outlives its sockets. It connects as soon as it is constructed and reconnects after every
 * break, until the session has ended, is refused, or is closed.
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
  #waitWhenFull; // whether the caller must wait for a full queue

  // Audio that waits to be sent or acknowledged.
  #queue;
  #partialFrame = new Uint8Array(0); // bytes of a sample frame that the caller's block cut through
  #stopped = false;
  #hasRoom = null; // {promise, resolve}: shared by all callers that wait while the queue is full

  // The connection. #timer: for `ready`, or for the next message that the server owes.
  #loop;
  #socket = null;
  #staleSocket = null; // one that did not answer
  #credit = null; // null: not live
  #timer = null;
  #awaitsMessage = false;
  #error = null; // the fatal `error` event of this socket

  // The session, as far as the server has reported it.
  #session = null;
  #resumeToken = null; // null: there is nothing to resume
  #lastSeq = 0;
  #finalsUntilMs = 0; // finals cover the session's clock up to here
  #closed = null;
  #repeated = new RepeatedResults();
  #offsetMs = 0; // where its clock begins on the client's own, which counts all audio and all gaps

  #finalPhase = null;
  #resolveFinished;

  /** @param {ClientOptions} settings */
  constructor({
    url,
    sampleRate,
    encoding = "pcm_s16le",
    channels = 1,
    language,
    token,
    options,
    speaker,
    queueMs = QUEUE_MS,
    whenFull = "drop",
    onEvent = () => {},
    onState = () => {},
    platform = browserPlatform(),
  }) {
    expect(Object.hasOwn(SAMPLE_BYTES, encoding), "encoding", "pcm_s16le, pcm_f32le, mulaw or alaw", encoding);
    expect(isWhole(sampleRate, 1_000, 768_000), "sampleRate", "a whole number of 1000 to 768000", sampleRate);
    expect(isWhole(channels, 1, 64), "channels", "1 to 64", channels);
    expect(["drop", "wait"].includes(whenFull), "whenFull", "drop or wait", whenFull);
    expect(queueMs >= 100, "queueMs", "at least 100", queueMs);
    this.#url = websocketUrl(url);
    this.#encoding = encoding;
    this.#waitWhenFull = whenFull === "wait";
    // JSON leaves out what is undefined.
    const start = { encoding, sample_rate: sampleRate, channels, language, token, options, speaker };
    this.#start = { type: "start", ...start };
    this.#onEvent = onEvent;
    this.#onState = onState;
    this.#platform = platform;
    this.#queue = new SendQueue(sampleRate, channels * SAMPLE_BYTES[encoding], queueMs);
    const finished = deferred();
    this.finished = finished.promise;
    this.#resolveFinished = finished.resolve;
    this.#loop = new ReconnectLoop(() => this.#connect(), platform);
    this.#loop.connectNow();
  }

  /** Milliseconds of audio that wait to be sent. */
  get unsentMs() {
    return this.#queue.unsentMs;
  }

  /** Milliseconds of audio that were sent and that the server has not acknowledged: they count for its credit. */
  get unacknowledgedMs() {
    return this.#queue.unacknowledgedMs;
  }

  /**
   * Send audio, in blocks of any length: bytes in the announced encoding, or samples (channels interleaved),
   * which are converted where necessary. The data is copied. An AudioGap is reported as with `gap()`.
   *
   * @param {ArrayBuffer | ArrayBufferView | AudioGap} data
   * @returns {Promise<void>} Resolves once the queue has room. With `whenFull: "wait"` it must be awaited; with
   *   "drop" it need not be: the oldest audio beyond the queue's length is dropped and replaced by a `gap`.
   */
  send(data) {
    this.#expectOpen();
    if (data instanceof AudioGap) {
      this.gap(data.ms);
      return Promise.resolve();
    }
    if (this.#waitWhenFull && this.#queue.isFull) {
      throw new Error("expected the promise of the last send() to be awaited, got audio for a full queue");
    }
    const bytes = concatenated(this.#partialFrame, toBytes(data, this.#encoding));
    const wholeFrames = bytes.length - (bytes.length % this.#queue.frameBytes);
    this.#partialFrame = bytes.slice(wholeFrames);
    this.#queue.addAudio(bytes.subarray(0, wholeFrames));
    if (!this.#waitWhenFull) this.#queue.dropSurplus();
    this.#sendQueued();
    if (this.#finalPhase !== null || !this.#queue.isFull) return Promise.resolve();
    this.#hasRoom ??= deferred();
    return this.#hasRoom.promise;
  }

  /**
   * Report audio that the caller had to drop at this point: the session's clock advances by it.
   *
   * @param {number} ms
   */
  gap(ms) {
    this.#expectOpen();
    expect(Number.isFinite(ms) && ms > 0, "gap", "milliseconds above 0", ms);
    this.#queue.addGap(ms);
    this.#sendQueued();
  }

  /** End the utterance in progress after the audio that was given so far. */
  flush() {
    this.#expectOpen();
    this.#queue.addFlush();
    this.#sendQueued();
  }

  /** End of the audio. The finals still arrive, then `closed`, and `finished` resolves. */
  stop() {
    if (this.#stopped || this.#finalPhase !== null) return;
    this.#stopped = true;
    this.#queue.addStop();
    this.#sendQueued();
  }

  /** Close at once: nothing more is sent, no more events are delivered. */
  close() {
    const socket = this.#socket;
    this.#detachSocket();
    socket?.close(1000);
    this.#end({ phase: "closed", undeliveredMs: this.#undeliveredMs });
  }

  /** Skip the wait before the next retry, for instance because the network is back. */
  retryNow() {
    if (this.#finalPhase === null && this.#socket === null) this.#loop.connectNow();
  }

  get #undeliveredMs() {
    return this.unsentMs + this.#queue.uncommittedMs;
  }

  #expectOpen() {
    if (this.#finalPhase !== null) throw new Error(`expected an open session, got one that is ${this.#finalPhase}`);
    if (this.#stopped) throw new Error("expected nothing after stop(), got more; begin another session");
  }

  // Connecting -------------------------------------------------------------------------------

  #connect() {
    this.#error = null;
    const socket = new this.#platform.WebSocket(this.#url, SUBPROTOCOL);
    this.#socket = socket;
    socket.onopen = () => socket.send(JSON.stringify(this.#firstMessage()));
    socket.onmessage = ({ data }) => this.#onMessage(data);
    socket.onclose = ({ code }) => this.#onSocketEnd(code);
    this.#setTimer(REPLY_TIMEOUT_MS, () => this.#giveUpSocket("the server does not answer"));
    this.#notifyState({ phase: "connecting", attempt: this.#loop.attempt });
  }

  #firstMessage() {
    if (this.#resumeToken === null) return this.#start;
    const resume = { session: this.#session, resume_token: this.#resumeToken, last_seq: this.#lastSeq };
    return { ...this.#start, resume };
  }

  /**
   * A socket whose server is gone may take minutes to close. It is closed once another one is live and not
   * before: a server that does receive the close could take the last messages as delivered.
   */
  #giveUpSocket(message) {
    this.#staleSocket?.close();
    this.#staleSocket = this.#socket;
    this.#onSocketEnd(1006, message);
  }

  #closeStaleSocket() {
    this.#staleSocket?.close();
    this.#staleSocket = null;
  }

  #onSocketEnd(code, message = this.#error?.message ?? "") {
    const [error, closed] = [this.#error, this.#closed];
    this.#detachSocket();
    const outcome = closeOutcome(code, closed === null ? null : (closed.reason ?? ""));
    // A server that shuts down after it has taken all audio has finished the session.
    if (outcome === "ended" || (closed !== null && this.#queue.isDelivered)) {
      const { reason, totals } = closed;
      this.#end({ phase: "ended", reason, totals, code, error, undeliveredMs: this.#undeliveredMs });
    } else if (outcome === "refused") {
      this.#end({ phase: "refused", code, error, message, undeliveredMs: this.#undeliveredMs });
    } else {
      // A session that has ended, or that failed inside the server, cannot be resumed.
      if (closed !== null || error?.code === "internal") this.#resumeToken = null;
      const delayMs = this.#loop.scheduleRetry(error?.retry_after_ms);
      this.#notifyState({ phase: "reconnecting", delayMs, code, error, message });
    }
  }

  /** Ignore whatever this socket still receives. */
  #detachSocket() {
    if (this.#socket !== null) this.#socket.onopen = this.#socket.onmessage = this.#socket.onclose = null;
    this.#socket = this.#credit = null;
    this.#clearTimer();
  }

  #end(state) {
    if (this.#finalPhase !== null) return;
    this.#finalPhase = state.phase;
    this.#loop.stop();
    this.#closeStaleSocket();
    this.#resolveRoom();
    this.#resolveFinished(state);
    this.#notifyState(state);
  }

  // Receiving --------------------------------------------------------------------------------

  #onMessage(data) {
    const message = parseMessage(data);
    if (message === null) return;
    if (this.#awaitsMessage) this.#clearTimer();
    if (message.type === "ready") this.#onReady(message);
    else if (message.type === "ack") this.#onAck(message);
    else this.#onSessionEvent(message);
    this.#sendQueued();
  }

  #onAck({ received_samples: received, committed_samples: committed }) {
    this.#queue.acknowledge(Number(received) || 0, Number.isInteger(committed) ? committed : null);
  }

  #onReady(ready) {
    if (this.#credit !== null || typeof ready.session !== "string") return;
    this.#platform.clearTimeout(this.#timer);
    this.#loop.connected();
    this.#closeStaleSocket();
    const loss = ready.resumed === true ? this.#resumeSession(ready) : this.#beginSession(ready);
    const { message_bytes: messageBytes = 4_096, max_unacked_ms: maxUnackedMs = 1_000 } = ready.limits ?? {};
    this.#credit = this.#queue.credit(messageBytes, maxUnackedMs);
    if (loss !== null) this.#notifyState({ phase: "lost", ...loss });
    // The callback may have closed the client.
    if (this.#credit !== null) this.#notifyState({ phase: "live", ready, offsetMs: this.#offsetMs });
  }

  #resumeSession(ready) {
    this.#queue.rewind(ready.received_samples ?? 0, ready.received_gap_ms ?? 0);
    const lostFromSeq = ready.lost_from_seq ?? null;
    return lostFromSeq === null ? null : { session: this.#session, lostFromSeq, lostAudioMs: 0 };
  }

  /** The new session gets the audio that is still queued, except for what the old one's finals cover. */
  #beginSession(ready) {
    const oldSession = this.#session;
    const { lostMs, offsetMs } = this.#queue.restart(this.#finalsUntilMs);
    // An old session that sent `closed` has delivered everything.
    const lost = oldSession !== null && this.#closed === null;
    const loss = lost
      ? { session: oldSession, lostFromSeq: ready.lost_from_seq ?? this.#lastSeq + 1, lostAudioMs: lostMs }
      : null;
    this.#session = ready.session;
    this.#resumeToken = typeof ready.resume_token === "string" ? ready.resume_token : null;
    this.#lastSeq = this.#finalsUntilMs = 0;
    this.#closed = null;
    this.#repeated.beginAgain(offsetMs);
    this.#offsetMs += offsetMs;
    return loss;
  }

  /** Deliver an event once. One without a place in the session (a refusal) is reported as a state instead. */
  #onSessionEvent(event) {
    if (event.type === "error" && event.fatal === true) this.#error = event;
    if (!Number.isInteger(event.seq) || event.seq <= this.#lastSeq) return;
    this.#lastSeq = event.seq;
    if (event.type === "closed") this.#onClosedEvent(event);
    // Of one channel of several, a final says nothing about the others.
    const isOfAll = (event.channel ?? null) === null;
    if (isOfAll && (event.type === "no_emotion" || (event.type === "emotion" && event.final === true))) {
      this.#finalsUntilMs = Math.max(this.#finalsUntilMs, Number(event.end_ms) || 0);
    }
    if (!this.#repeated.note(event)) this.#onEvent(event);
  }

  /** Wait for the close code, but not for ever. */
  #onClosedEvent(closed) {
    this.#closed = closed;
    this.#queue.commitReceived();
    this.#setTimer(REPLY_TIMEOUT_MS, () => this.#giveUpSocket("the server does not close"));
  }

  // Sending ----------------------------------------------------------------------------------

  /** Send as much as the credit allows. */
  #sendQueued() {
    if (this.#credit === null || this.#closed !== null) return;
    for (let message; (message = this.#queue.next(this.#credit)) !== null; ) this.#socket.send(message);
    if (!this.#queue.isFull) this.#resolveRoom();
    if (this.#queue.awaitsReply && !this.#awaitsMessage) {
      this.#awaitsMessage = true;
      this.#setTimer(SILENCE_TIMEOUT_MS, () => this.#giveUpSocket("the server has gone silent"));
    }
  }

  #resolveRoom() {
    this.#hasRoom?.resolve();
    this.#hasRoom = null;
  }

  #setTimer(ms, run) {
    this.#timer = this.#platform.setTimeout(run, ms);
  }

  #clearTimer() {
    this.#awaitsMessage = false;
    this.#platform.clearTimeout(this.#timer);
  }

  /** @param {ClientState} state */
  #notifyState(state) {
    this.#onState(state);
  }
}

/**
 * The address of the stream socket.
 *
 * @param {string | URL} server  `ws://host:port/v1/stream`, or the server's own address, `http://host:port`, or
 *   `https://host/path/` behind a proxy.
 * @returns {string}
 */
export function websocketUrl(server) {
  const address = new URL(server);
  address.protocol = address.protocol.replace(/^http/, "ws");
  if (address.pathname.endsWith("/")) address.pathname += "v1/stream";
  return address.href;
}

/** A copy in the encoding; every browser runs on little-endian machines. */
function toBytes(data, encoding) {
  const samples = data instanceof Float32Array || data instanceof Int16Array;
  expect(!(samples && SAMPLE_BYTES[encoding] === 1), "data", `bytes of ${encoding}`, "samples");
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

function concatenated(head, tail) {
  if (head.length === 0) return tail;
  const both = new Uint8Array(head.length + tail.length);
  both.set(head);
  both.set(tail, head.length);
  return both;
}

/** A promise, and the function that resolves it. */
function deferred() {
  let resolve;
  const promise = new Promise((keep) => (resolve = keep));
  return { promise, resolve };
}

/** A message of the server; null if it is not one. */
function parseMessage(data) {
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
