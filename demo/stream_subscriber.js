/**
 * The connection to a stream that the server publishes: lists the streams, subscribes to one, reconnects after
 * a break and resumes where it was.
 *
 * No DOM in here. What happens is passed to one callback as a `Report`; time, randomness and network are
 * arguments, so that the module runs anywhere.
 *
 * @typedef {import("./events.js").ServerEvent} ServerEvent
 * @typedef {{name: string, title: string, note: string, session: string | null, audioMs: number}} Stream
 *   audioMs: how much of its audio the server keeps; 0: none.
 * @typedef {"listing" | "waiting" | "connecting" | "live" | "reconnecting" | "stopping" | "stopped" | "ended" |
 *   "refused"} Phase  waiting: for a stream to be published. stopping, stopped: of a local session only.
 *
 * @typedef {{kind: "streams", streams: Stream[]}} StreamsReport
 * @typedef {{kind: "phase", phase: Phase, stream: string | null, delayMs: number | null, message: string,
 *   local?: import("./local_session.js").LocalSource}} PhaseReport  delayMs: until the next retry. message:
 *   human-readable, may be empty.
 * @typedef {{kind: "event", event: ServerEvent, wire: object, offsetMs?: number}} EventReport  wire: the
 *   message as it was received. offsetMs: where the session's clock begins, if that is known.
 * @typedef {{kind: "events_lost", session: string, fromSeq: number}} EventsLostReport  After a break the server
 *   no longer had all events. fromSeq: the first that is missing.
 * @typedef {{kind: "session_lost", ms: number}} SessionLostReport  A lost session of this page's own took so
 *   much audio with it.
 * @typedef {{kind: "token_required", wrong: boolean}} TokenReport  wrong: one was sent, and is not valid.
 * @typedef {{kind: "waveform", fromMs: number, stepMs: number, values: Uint8Array}} WaveformReport  On the
 *   session's own clock.
 * @typedef {StreamsReport | PhaseReport | EventReport | WaveformReport | EventsLostReport | SessionLostReport | TokenReport} Report
 *
 * @typedef {import("./client.d.ts").Platform & {fetch: typeof fetch}} Platform
 */
import { ReconnectLoop, UNAUTHORIZED, browserPlatform, closeOutcome } from "./backoff.js";
import { SUBPROTOCOL, websocketUrl } from "./client.js";
import { parseMessage, readEvent } from "./events.js";

const POLL_MS = 3_000; // how often the list is fetched while there is no stream, or the stream has ended
const REPLY_TIMEOUT_MS = 10_000; // for the list, and for `ready` on a new socket

/** @type {() => Platform} */
const pagePlatform = () => ({ ...browserPlatform(), fetch: (...request) => fetch(...request) });

/**
 * @param {string} base  The page's address, which a proxy may have put below a path of its own.
 * @returns {string} The address of the stream socket of the server that served the page.
 */
export const socketAddress = (base) => websocketUrl(new URL(".", base));

/** Follows one stream until it is stopped. */
export class StreamSubscriber {
  #base;
  #report;
  #platform;
  #token;
  #requested = null; // the stream's name, null for the first one
  #waveform;
  #position = null; // {stream, session, lastSeq, waveformMs}: where to resume after a break
  #message = ""; // why the last connection ended
  #abort = null; // AbortController of the subscription in progress
  #loop = null;
  #endPause = null; // ends the pause in progress

  /**
   * @param {object} settings
   * @param {string} settings.base  The page's address.
   * @param {(report: Report) => void} settings.report
   * @param {string | null} [settings.token]  Sent in a header and in `subscribe`, never in an address.
   * @param {boolean} [settings.waveform]  Whether the waveform is reported.
   * @param {Platform} [settings.platform]
   */
  constructor({ base, report, token = null, waveform = false, platform = pagePlatform() }) {
    this.#waveform = waveform;
    this.#base = base;
    this.#report = report;
    this.#token = token;
    this.#platform = platform;
  }

  /**
   * Subscribe to this stream, or to the server's first one; replaces the subscription in progress.
   *
   * @param {string | null} [name]
   */
  subscribe(name = null) {
    this.stop();
    this.#requested = name;
    this.#message = "";
    const abort = new AbortController();
    this.#abort = abort;
    this.#loop = new ReconnectLoop(() => this.#connect(abort.signal), this.#platform);
    this.#reportPhase("listing");
    this.#loop.connectNow();
  }

  /**
   * Subscribe again with this token.
   *
   * @param {string} token
   */
  useToken(token) {
    this.#token = token;
    this.subscribe(this.#requested);
  }

  /** The next subscription starts from the stream's beginning. */
  forgetPosition() {
    this.#position = null;
  }

  stop() {
    this.#abort?.abort();
    this.#loop?.stop();
    this.#endPause?.();
  }

  /** Skip the wait before the next retry. A stream that ended or was refused is requested again. */
  retryNow() {
    if (this.#endPause !== null) this.#endPause();
    else if (this.#loop?.isWaiting) this.#loop.connectNow();
    else this.subscribe(this.#requested);
  }

  /** One connection, from the list of streams to the end of its socket. Never rejects. */
  async #connect(signal) {
    const stream = await this.#findStream(signal);
    if (stream === null) return;
    this.#reportPhase("connecting", { stream });
    const end = await this.#receive(stream, signal);
    if (signal.aborted) return;
    this.#message = end.message;
    switch (closeOutcome(end.code, end.closedReason)) {
      case "refused":
        return this.#refuse(end.message, end.code === UNAUTHORIZED);
      case "ended":
        this.#reportPhase("ended", { stream, message: end.message });
        if (!(await this.#serverIsGone(stream, end.session, signal))) {
          if (!signal.aborted) this.#loop.connectNow();
          return;
        }
        this.#message = "";
    }
    this.#retry(this.#message, end.retryAfterMs);
  }

  /** The stream to subscribe to, once there is one; null if the list cannot be fetched. */
  async #findStream(signal) {
    while (!signal.aborted) {
      const found = await this.#fetchList(signal);
      if (signal.aborted) break;
      if (found.refused) {
        this.#refuse(found.message, found.unauthorized);
        break;
      }
      if (found.streams === null) {
        this.#retry(this.#message || found.message, found.retryAfterMs);
        break;
      }
      this.#report({ kind: "streams", streams: found.streams });
      const stream = found.streams.find(({ name }) => name === this.#requested) ?? found.streams[0];
      if (stream) return stream.name;
      this.#reportPhase("waiting");
      await this.#pause(POLL_MS, signal);
    }
    return null;
  }

  /** The streams, or null if the server does not answer as it should. */
  async #fetchList(signal) {
    const timeout = new AbortController();
    const timer = this.#platform.setTimeout(() => timeout.abort(), REPLY_TIMEOUT_MS);
    const cancel = () => timeout.abort();
    signal.addEventListener("abort", cancel);
    try {
      const response = await this.#platform.fetch(new URL("v1/streams", this.#base), {
        cache: "no-store",
        headers: this.#token === null ? {} : { Authorization: `Bearer ${this.#token}` },
        signal: timeout.signal,
      });
      if (response.status === 401 || response.status === 403) return refusedList(response.status === 401);
      if (!response.ok) {
        const retryAfterMs = 1_000 * (Number(response.headers.get("Retry-After")) || 0);
        const loading = response.headers.get("Emostream-Status") === "loading";
        const message = loading ? "the server is loading its models" : `the server answered with ${response.status}`;
        return { streams: null, message, retryAfterMs };
      }
      return { streams: readStreams(await response.json()) };
    } catch {
      return { streams: null, message: "the server does not answer" };
    } finally {
      this.#platform.clearTimeout(timer);
      signal.removeEventListener("abort", cancel);
    }
  }

  /** One socket from opening to its end: how it ended. Never rejects. */
  #receive(stream, signal) {
    const socket = new this.#platform.WebSocket(socketAddress(this.#base), SUBPROTOCOL);
    const close = () => socket.close();
    const timer = this.#platform.setTimeout(close, REPLY_TIMEOUT_MS);
    const end = { code: 1006, closedReason: null, session: null, message: "", retryAfterMs: null };
    if (this.#position?.stream !== stream) this.#position = newPosition(stream);
    const position = this.#position;

    return new Promise((resolve) => {
      signal.addEventListener("abort", close);
      socket.onopen = () => socket.send(JSON.stringify(this.#firstMessage(position)));
      socket.onmessage = ({ data }) => {
        const wire = parseMessage(data);
        const event = signal.aborted ? null : readEvent(wire);
        if (event === null) return;
        if (event.type === "ready") this.#platform.clearTimeout(timer);
        this.#onEvent(event, wire, position, end);
      };
      socket.onclose = ({ code }) => {
        this.#platform.clearTimeout(timer);
        signal.removeEventListener("abort", close);
        resolve({ ...end, code });
      };
    });
  }

  /** Report the event unless it was reported before the break; note in `end` what explains the socket's end. */
  #onEvent(event, wire, position, end) {
    switch (event.type) {
      case "waveform":
        position.waveformMs = event.fromMs + event.stepMs * event.values.length;
        this.#report({ ...event, kind: "waveform" });
        return;
      case "ready":
        end.session = event.session;
        this.#loop.connected();
        break;
      case "closed":
        end.closedReason = event.reason;
        this.#position = null; // nothing follows it: the next subscription gets the whole session
        break;
      case "error":
        if (event.fatal) Object.assign(end, { message: event.message, retryAfterMs: event.retryAfterMs });
    }
    if (isRepeated(event, position)) return;
    this.#report({ kind: "event", event, wire });
    if (event.type !== "ready") return;
    const fromSeq = firstLostSeq(wire);
    if (fromSeq !== null) this.#report({ kind: "events_lost", session: event.session, fromSeq });
    this.#reportPhase("live", { stream: position.stream });
  }

  /** JSON leaves out what is undefined. */
  #firstMessage({ stream, session, lastSeq, waveformMs }) {
    const resume = session === null ? undefined : { session, last_seq: lastSeq };
    const waveform = this.#waveform ? Math.floor(waveformMs) : undefined;
    return { type: "subscribe", stream, token: this.#token ?? undefined, resume, waveform_from_ms: waveform };
  }

  /**
   * Wait until the server is gone, or runs another session.
   *
   * @returns {Promise<boolean>} false if there is another session, or if the user asked for a retry.
   */
  async #serverIsGone(stream, session, signal) {
    while (!signal.aborted) {
      if (await this.#pause(POLL_MS, signal)) return false;
      const { streams } = await this.#fetchList(signal);
      if (signal.aborted) return false;
      if (streams === null) return true;
      this.#report({ kind: "streams", streams });
      // The server may have been replaced so quickly that no request failed.
      const current = streams.find(({ name }) => name === stream)?.session ?? session;
      if (session !== null && current !== session) return false;
    }
    return false;
  }

  #retry(message, retryAfterMs = null) {
    const delayMs = this.#loop.scheduleRetry(retryAfterMs);
    this.#reportPhase("reconnecting", { delayMs, message });
  }

  /** Resolves with false after `ms`, or with true if the pause was ended early. */
  #pause(ms, signal) {
    if (signal.aborted) return Promise.resolve(true);
    return new Promise((resolve) => {
      const end = (early) => {
        this.#platform.clearTimeout(timer);
        if (this.#endPause === endEarly) this.#endPause = null;
        resolve(early);
      };
      const endEarly = () => end(true);
      const timer = this.#platform.setTimeout(() => end(false), ms);
      this.#endPause = endEarly;
    });
  }

  #refuse(message, unauthorized = false) {
    this.#reportPhase("refused", { message });
    if (unauthorized) this.#report({ kind: "token_required", wrong: this.#token !== null });
  }

  #reportPhase(phase, { stream = null, delayMs = null, message = "" } = {}) {
    this.#report({ kind: "phase", phase, stream, delayMs, message });
  }
}

const newPosition = (stream) => ({ stream, session: null, lastSeq: 0, waveformMs: 0 });

function refusedList(unauthorized) {
  const message = unauthorized ? "the server requires a token" : "the server does not allow this page";
  return { streams: null, refused: true, unauthorized, message };
}

/** Whether this event was reported before the break; moves `position` forward. */
function isRepeated(event, position) {
  if (event.type === "ready") {
    if (event.session !== position.session) {
      Object.assign(position, newPosition(position.stream), { session: event.session });
    }
    return false;
  }
  if (!(event.seq > 0)) return false; // it has no place in the session
  if (event.seq <= position.lastSeq) return true;
  position.lastSeq = event.seq;
  return false;
}

/** The first event that a resumed session lacks; null if none is missing. */
function firstLostSeq({ resumed, lost_from_seq: fromSeq }) {
  return resumed === true && Number.isInteger(fromSeq) ? fromSeq : null;
}

/** @returns {Stream[]} The streams of the response of `/v1/streams`; those without a name are left out. */
function readStreams(response) {
  const listed = Array.isArray(response?.streams) ? response.streams : [];
  return listed
    .filter((stream) => typeof stream?.name === "string")
    .map(({ name, title, note, session, audio_ms: audioMs }) => ({
      name,
      title: typeof title === "string" && title ? title : name,
      note: typeof note === "string" ? note : "",
      session: typeof session === "string" ? session : null,
      audioMs: Number.isFinite(audioMs) ? audioMs : 0,
    }));
}
