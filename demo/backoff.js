/**
 * When to connect again: the backoff, its jitter, and the close codes after which another try cannot help.
 * Opens no connection itself. Time and randomness are arguments (`Platform`), so that it runs anywhere.
 *
 * @typedef {Pick<import("./client.d.ts").Platform, "setTimeout" | "clearTimeout" | "random" | "now">} Timers
 */

const FIRST_DELAY_MS = 500;
const MAX_DELAY_MS = 15_000;
const STABLE_AFTER_MS = 5_000; // a connection that lasted this long resets the backoff

export const UNAUTHORIZED = 4401;

/** Close codes after which the same request would be refused again, or would fight another socket for the session. */
export const FATAL_CLOSE_CODES = new Set([1009, 4400, UNAUTHORIZED, 4403, 4408, 4409, 4410, 4429]);

/** @type {() => import("./client.d.ts").Platform} */
export const browserPlatform = () => ({
  WebSocket,
  setTimeout: (run, ms) => setTimeout(run, ms),
  clearTimeout: (timer) => clearTimeout(timer),
  random: Math.random,
  now: () => performance.now(),
});

/**
 * Exponential backoff with full jitter, so that many clients do not reconnect to a restarted server at the
 * same moment.
 *
 * @param {number} attempt  0 for the first retry.
 * @param {number} random  In [0, 1).
 * @returns {number} Milliseconds.
 */
export function fullJitterMs(attempt, random) {
  return Math.round(random * Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** Math.min(attempt, 10)));
}

/**
 * What the end of a socket means for the session.
 *
 * @param {number} code  The close code.
 * @param {string | null} closedReason  `reason` of the `closed` event; null if none arrived.
 * @returns {"ended" | "refused" | "retry"}
 */
export function closeOutcome(code, closedReason) {
  if (closedReason !== null && closedReason !== "shutting_down") return "ended";
  return FATAL_CLOSE_CODES.has(code) ? "refused" : "retry";
}

/** Calls `connect` at once, on request, or after a backoff. The callback reports how it went. */
export class ReconnectLoop {
  #connect;
  #timers;
  #timer = null; // of the next retry
  #attempt = 0;
  #connectedAt = null; // of the present connection

  /**
   * @param {() => void} connect  Starts one connection.
   * @param {Timers} timers
   */
  constructor(connect, timers) {
    this.#connect = connect;
    this.#timers = timers;
  }

  /** How many retries there were since the last stable connection. */
  get attempt() {
    return this.#attempt;
  }

  get isWaiting() {
    return this.#timer !== null;
  }

  connectNow() {
    this.stop();
    this.#connectedAt = null;
    this.#connect();
  }

  /** The server has accepted the session. */
  connected() {
    this.#connectedAt = this.#timers.now();
  }

  /**
   * @param {number | null} [retryAfterMs]  What the server asked for; the backoff comes on top.
   * @returns {number} Milliseconds until `connect` is called.
   */
  scheduleRetry(retryAfterMs = 0) {
    const lastedMs = this.#connectedAt === null ? 0 : this.#timers.now() - this.#connectedAt;
    if (lastedMs > STABLE_AFTER_MS) this.#attempt = 0;
    const requestedMs = Number.isFinite(retryAfterMs) ? Math.max(0, retryAfterMs) : 0;
    const delayMs = requestedMs + fullJitterMs(this.#attempt++, this.#timers.random());
    this.stop();
    this.#timer = this.#timers.setTimeout(() => this.connectNow(), delayMs);
    return delayMs;
  }

  /** Cancel the retry that is scheduled. */
  stop() {
    if (this.#timer !== null) this.#timers.clearTimeout(this.#timer);
    this.#timer = null;
  }
}
