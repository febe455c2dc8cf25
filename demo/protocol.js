/**
 * The connection: finds the server's own streams, watches one, comes back after a break and goes on where
 * it was.
 *
 * No DOM in here. What happens is told to one function as a `Report`; time, chance and network are
 * handed in, so that the module runs anywhere.
 *
 * @typedef {import("./events.js").ServerEvent} ServerEvent
 * @typedef {{name: string, title: string, note: string, session: string | null, audioMs: number}} Stream  audioMs: how much of its sound the
 *   server keeps; 0: none.
 * @typedef {"looking" | "waiting" | "connecting" | "live" | "reconnecting" | "ended" | "refused"} Phase
 *
 * @typedef {{kind: "streams", streams: Stream[]}} StreamsReport
 * @typedef {{kind: "phase", phase: Phase, stream: string | null, delayMs: number | null, why: string}}
 *   PhaseReport  delayMs: until the next try. why: for people, may be empty.
 * @typedef {{kind: "event", event: ServerEvent, wire: object}} EventReport  wire: the message itself.
 * @typedef {{kind: "missed", session: string, fromSeq: number}} MissedReport  After a break the server could
 *   no longer give all that came meanwhile. fromSeq: the first event that is missing.
 * @typedef {{kind: "token", wrong: boolean}} TokenReport  Without a token of this server nobody is let in.
 *   wrong: one was given, and is none.
 * @typedef {StreamsReport | PhaseReport | EventReport | MissedReport | TokenReport} Report
 *
 * @typedef {object} Platform
 * @property {typeof fetch} fetch
 * @property {typeof WebSocket} WebSocket
 * @property {(run: () => void, ms: number) => any} setTimeout
 * @property {(timer: any) => void} clearTimeout
 * @property {() => number} random  In [0, 1).
 * @property {() => number} now  Milliseconds on a clock that never goes back.
 */
import { parseMessage, readEvent } from "./events.js";
import { backoffMs, verdict } from "./reconnect.js";

export const SUBPROTOCOL = "emostream.v1";

const POLL_MS = 3000; // how often an empty or an ended server is asked for streams
const ANSWER_WITHIN_MS = 10_000; // for the list, and for `ready` on a new socket
const UNAUTHORIZED = 4401;
const STABLE_AFTER_MS = 5000; // a connection that lived this long starts the backoff afresh

/** @type {() => Platform} */
const browser = () => ({
  fetch: (...request) => fetch(...request),
  WebSocket,
  setTimeout: (run, ms) => setTimeout(run, ms),
  clearTimeout: (timer) => clearTimeout(timer),
  random: Math.random,
  now: () => performance.now(),
});

/**
 * @param {string} base  The page's address.
 * @returns {string} The address of the socket beside it.
 */
export function socketAddress(base) {
  const address = new URL("/v1/stream", base);
  address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
  return address.href;
}

/** Follows one stream for as long as it is not stopped. */
export class Follower {
  #base;
  #report;
  #platform;
  #token;
  #wanted = null; // the stream's name that was asked for
  #seen = null; // {stream, session, lastSeq} of what was watched last: where to go on after a break
  #run = null; // AbortController of the loop that is under way
  #wake = null; // ends the pause that is under way

  /**
   * @param {object} settings
   * @param {string} settings.base  The page's address.
   * @param {(report: Report) => void} settings.report
   * @param {string | null} [settings.token]  Told in a header and in `watch`, never in an address.
   * @param {Platform} [settings.platform]
   */
  constructor({ base, report, token = null, platform = browser() }) {
    this.#base = base;
    this.#report = report;
    this.#token = token;
    this.#platform = platform;
  }

  /**
   * Follow this stream, or the server's first one; replaces what was followed before.
   *
   * @param {string | null} [name]
   */
  follow(name = null) {
    this.stop();
    this.#wanted = name;
    this.#run = new AbortController();
    this.#loop(this.#run.signal);
  }

  /**
   * Come again with this token.
   *
   * @param {string} token
   */
  useToken(token) {
    this.#token = token;
    this.follow(this.#wanted);
  }

  /** What was watched is shown no more: it is given anew to who follows it again. */
  forget() {
    this.#seen = null;
  }

  stop() {
    this.#run?.abort();
    this.#wake?.();
  }

  /** Do not wait for the next try. A stream that ended or was refused is asked for again. */
  retryNow() {
    if (this.#wake) this.#wake();
    else this.follow(this.#wanted);
  }

  async #loop(stopped) {
    let attempt = 0;
    let why = "";
    this.#phase("looking");
    while (!stopped.aborted) {
      const found = await this.#list(stopped);
      if (stopped.aborted) return;
      if (found.refused) return this.#refuse(found.why, found.unauthorized);
      if (found.streams === null) {
        await this.#pauseBeforeRetry(attempt++, why || found.why, stopped, found.retryAfterMs);
        continue;
      }
      this.#report({ kind: "streams", streams: found.streams });
      const stream = found.streams.find(({ name }) => name === this.#wanted) ?? found.streams[0];
      if (!stream) {
        this.#phase("waiting");
        await this.#pause(POLL_MS, stopped);
        continue;
      }
      this.#phase("connecting", { stream: stream.name });
      const end = await this.#watch(stream.name, stopped);
      if (stopped.aborted) return;
      why = end.why;
      if (end.verdict === "refused") return this.#refuse(why, end.unauthorized);
      if (end.verdict === "ended") {
        this.#phase("ended", { stream: stream.name, why });
        if (!(await this.#untilServerLeaves(stream.name, end.session, stopped))) continue;
        why = "";
      }
      attempt = end.livedMs > STABLE_AFTER_MS ? 0 : attempt;
      await this.#pauseBeforeRetry(attempt++, why, stopped, end.retryAfterMs);
    }
  }

  /** The streams, or null where the server does not answer as it should. */
  async #list(stopped) {
    const timeout = new AbortController();
    const timer = this.#platform.setTimeout(() => timeout.abort(), ANSWER_WITHIN_MS);
    const cancel = () => timeout.abort();
    stopped.addEventListener("abort", cancel);
    try {
      const answer = await this.#platform.fetch(new URL("/v1/streams", this.#base), {
        cache: "no-store",
        headers: this.#token === null ? {} : { Authorization: `Bearer ${this.#token}` },
        signal: timeout.signal,
      });
      if (answer.status === 401 || answer.status === 403) return shutOut(answer.status === 401);
      if (!answer.ok) {
        const retryAfterMs = 1000 * (Number(answer.headers.get("Retry-After")) || 0);
        return { streams: null, why: `the server answered with ${answer.status}`, retryAfterMs };
      }
      return { streams: readStreams(await answer.json()), why: "" };
    } catch {
      return { streams: null, why: "the server does not answer" };
    } finally {
      this.#platform.clearTimeout(timer);
      stopped.removeEventListener("abort", cancel);
    }
  }

  /** One socket from opening to its end. Never rejects. */
  #watch(stream, stopped) {
    const socket = new this.#platform.WebSocket(socketAddress(this.#base), SUBPROTOCOL);
    const close = () => socket.close();
    const timer = this.#platform.setTimeout(close, ANSWER_WITHIN_MS);
    let closedReason = null;
    let session = null;
    let liveSince = null;
    let why = "";
    let retryAfterMs = null;
    const seen = this.#seen?.stream === stream ? this.#seen : { stream, session: null, lastSeq: 0 };
    this.#seen = seen;

    return new Promise((resolve) => {
      stopped.addEventListener("abort", close);
      socket.onopen = () => socket.send(JSON.stringify(this.#firstMessage(seen)));
      socket.onmessage = ({ data }) => {
        const wire = parseMessage(data);
        const event = stopped.aborted ? null : readEvent(wire);
        if (event === null) return;
        if (event.type === "ready") {
          session = event.session;
          liveSince = this.#platform.now();
          this.#platform.clearTimeout(timer);
        }
        if (event.type === "closed") {
          closedReason = event.reason;
          this.#seen = null; // nothing comes behind it: who asks again is shown the whole
        }
        if (event.type === "error" && event.fatal) {
          why = event.message;
          retryAfterMs = event.retryAfterMs;
        }
        if (isRepeated(event, seen)) return;
        this.#report({ kind: "event", event, wire });
        if (event.type !== "ready") return;
        const fromSeq = missedFrom(wire);
        if (fromSeq !== null) this.#report({ kind: "missed", session: event.session, fromSeq });
        this.#phase("live", { stream });
      };
      socket.onclose = ({ code }) => {
        this.#platform.clearTimeout(timer);
        stopped.removeEventListener("abort", close);
        const livedMs = liveSince === null ? 0 : this.#platform.now() - liveSince;
        const unauthorized = code === UNAUTHORIZED;
        resolve({ verdict: verdict(code, closedReason), unauthorized, why, retryAfterMs, livedMs, session });
      };
    });
  }

  /** JSON leaves out what is undefined. */
  #firstMessage({ stream, session, lastSeq }) {
    const resume = session === null ? undefined : { session, last_seq: lastSeq };
    return { type: "watch", stream, token: this.#token ?? undefined, resume };
  }

  /** True once the server has gone, so that a restarted one is found; false when somebody asks to retry. */
  async #untilServerLeaves(stream, session, stopped) {
    while (!stopped.aborted) {
      if (await this.#pause(POLL_MS, stopped)) return false;
      const { streams } = await this.#list(stopped);
      if (streams === null) return true;
      if (stopped.aborted) return false;
      this.#report({ kind: "streams", streams });
      // Another server has come so soon that its absence was not seen.
      const now = streams.find(({ name }) => name === stream)?.session ?? session;
      if (session !== null && now !== session) return true;
    }
    return false;
  }

  async #pauseBeforeRetry(attempt, why, stopped, retryAfterMs = null) {
    const delayMs = Math.max(backoffMs(attempt, this.#platform.random()), retryAfterMs ?? 0);
    if (!stopped.aborted) this.#phase("reconnecting", { delayMs, why });
    await this.#pause(delayMs, stopped);
  }

  /** Resolves after `ms` with false, or with true when it was cut short. */
  #pause(ms, stopped) {
    if (stopped.aborted) return Promise.resolve(true);
    return new Promise((resolve) => {
      const end = (early) => {
        this.#platform.clearTimeout(timer);
        if (this.#wake === wake) this.#wake = null;
        resolve(early);
      };
      const wake = () => end(true);
      const timer = this.#platform.setTimeout(() => end(false), ms);
      this.#wake = wake;
    });
  }

  #refuse(why, unauthorized = false) {
    this.#phase("refused", { why });
    if (unauthorized) this.#report({ kind: "token", wrong: this.#token !== null });
  }

  #phase(phase, { stream = null, delayMs = null, why = "" } = {}) {
    this.#report({ kind: "phase", phase, stream, delayMs, why });
  }
}

function shutOut(unauthorized) {
  const why = unauthorized ? "the server asks for a token" : "the server does not let this page in";
  return { streams: null, refused: true, unauthorized, why };
}

/** Whether this event was reported before the break; notes how far `seen` has come. */
function isRepeated(event, seen) {
  if (event.type === "ready") {
    if (event.session !== seen.session) Object.assign(seen, { session: event.session, lastSeq: 0 });
    return false;
  }
  if (!(event.seq > 0)) return false; // it has no place in the session
  if (event.seq <= seen.lastSeq) return true;
  seen.lastSeq = event.seq;
  return false;
}

/** The first event that a resumed session lacks; null where it lacks none. */
function missedFrom({ resumed, lost_from_seq: from }) {
  return resumed === true && Number.isInteger(from) ? from : null;
}

/** @returns {Stream[]} The streams of `/v1/streams`' answer; what has no name is left out. */
function readStreams(answer) {
  const listed = Array.isArray(answer?.streams) ? answer.streams : [];
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
