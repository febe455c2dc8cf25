/**
 * The sound that the server keeps of a stream, fetched when it is to be heard and not before; what was fetched
 * stays in the session's buffer. Times are milliseconds on the page's clock.
 */
import { parseWav } from "./wav.js";

const PIECE_MS = 20_000; // 640 kB
const LEAST_NEW_MS = 500;
const AHEAD_MS = 5_000;

export class ServerAudio {
  #buffer;
  #fetch;
  #keptMs;
  #offsetMs;
  #loaded = []; // spans, [from, to], that do not touch, in order
  #isLoading = false;

  /**
   * @param {object} settings
   * @param {import("./audio_buffer.js").AudioRingBuffer} settings.buffer  Of the session, with its waveform.
   * @param {(fromMs: number, toMs: number) => Promise<{fromMs: number, samples: Float32Array} | null>} settings.fetch
   *   On the stream's own clock; null where nothing is kept of it. See `fetchFrom`.
   * @param {number} settings.keptMs  How much the server keeps.
   * @param {number} settings.offsetMs  Where the stream's clock begins.
   */
  constructor({ buffer, fetch, keptMs, offsetMs }) {
    this.#buffer = buffer;
    this.#fetch = fetch;
    this.#keptMs = keptMs;
    this.#offsetMs = offsetMs;
  }

  get rateHz() {
    return this.#buffer.rateHz;
  }

  /** Whether there is any sound at all. */
  get isKept() {
    return this.#keptMs > 0;
  }

  /** The earliest moment that is kept. */
  get fromMs() {
    return Math.max(this.#offsetMs, this.#buffer.endMs - this.#keptMs);
  }

  /** Whether any of this span can be played. */
  has(fromMs, toMs) {
    if (this.#buffer.has(fromMs, toMs)) return true;
    return this.isKept && fromMs >= this.#offsetMs && fromMs < this.#buffer.endMs && toMs > this.fromMs;
  }

  read(fromMs, toMs) {
    return this.#buffer.read(fromMs, toMs);
  }

  /** Until when there is sound here from this moment on. */
  soundUntil(fromMs) {
    const span = this.#loaded.find(([from, to]) => from <= fromMs && fromMs < to);
    // The buffer forgets the oldest: that is fetched again.
    return span !== undefined && this.#buffer.has(fromMs, fromMs + 1) ? span[1] : fromMs;
  }

  /** Fetch a span, as far as it is kept. Never rejects. */
  async load(fromMs, toMs) {
    for (let at = fromMs; at < toMs; ) {
      const until = this.soundUntil(at);
      if (until > at) at = until;
      else if (!(await this.#loadPiece(at, Math.min(toMs, at + PIECE_MS)))) return;
    }
  }

  /** Fetch what follows this moment, once there is enough of it. Never rejects. */
  async want(fromMs) {
    const until = this.soundUntil(fromMs);
    if (this.#isLoading || this.#buffer.endMs - until < LEAST_NEW_MS || until - fromMs > AHEAD_MS) return;
    this.#isLoading = true;
    await this.#loadPiece(until, Math.min(until + PIECE_MS, this.#buffer.endMs));
    this.#isLoading = false;
  }

  /** Whether it moved on. Where its beginning is kept no more it is silent. */
  async #loadPiece(fromMs, toMs) {
    const found = await this.#fetch(fromMs - this.#offsetMs, toMs - this.#offsetMs);
    if (found === null || found.samples.length === 0) return false;
    const beginMs = found.fromMs + this.#offsetMs;
    const endMs = beginMs + (found.samples.length * 1_000) / this.#buffer.rateHz;
    if (endMs <= fromMs) return false;
    const missing = Math.max(0, Math.round(((beginMs - fromMs) * this.#buffer.rateHz) / 1_000));
    this.#buffer.write(fromMs, new Float32Array(missing));
    this.#buffer.write(beginMs, found.samples);
    this.#add(Math.min(fromMs, beginMs), endMs);
    return true;
  }

  #add(from, to) {
    const touches = ([a, b]) => a <= to && from <= b;
    const touching = this.#loaded.filter(touches);
    const merged = [Math.min(from, ...touching.map(([a]) => a)), Math.max(to, ...touching.map(([, b]) => b))];
    this.#loaded = [...this.#loaded.filter((span) => !touches(span)), merged].sort(([a], [b]) => a - b);
  }
}

/**
 * @param {string} base  The page's address.
 * @param {string | null} token
 * @param {string} stream
 * @returns {(fromMs: number, toMs: number) => Promise<{fromMs: number, samples: Float32Array} | null>} Never
 *   rejects.
 */
export function fetchFrom(base, token, stream) {
  const headers = token === null ? {} : { Authorization: `Bearer ${token}` };
  return async (fromMs, toMs) => {
    const address = new URL(`v1/streams/${encodeURIComponent(stream)}/audio`, base);
    address.search = new URLSearchParams({ from_ms: String(Math.floor(fromMs)), to_ms: String(Math.ceil(toMs)) });
    try {
      const response = await fetch(address, { cache: "no-store", headers });
      if (response.status !== 200) return null;
      const beginMs = Number(response.headers.get("Emostream-From-Ms"));
      const wav = parseWav(await response.arrayBuffer());
      return wav === null || !Number.isFinite(beginMs) ? null : { fromMs: beginMs, samples: wav.samples };
    } catch {
      return null; // the server is gone, which the connection reports
    }
  };
}
