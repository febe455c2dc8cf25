/** Fetches the sound that the server keeps of the stream that is watched, as it comes. */

const EVERY_MS = 500;
const ALL_MS = 9e12;
const WHOLE_MS = 59_000; // an answer is a minute at most

export class KeptSound {
  #base;
  #headers;
  #stopped = new AbortController();

  /**
   * @param {object} settings
   * @param {string} settings.base  The page's address.
   * @param {string | null} settings.token
   */
  constructor({ base, token }) {
    this.#base = base;
    this.#headers = token === null ? {} : { Authorization: `Bearer ${token}` };
  }

  /**
   * Until it is stopped, the stream is over, or the server keeps none any more. Never rejects.
   *
   * @param {string} stream
   * @param {object} settings  Times are the stream's own.
   * @param {number} settings.fromMs  Where to begin.
   * @param {(fromMs: number, samples: Float32Array) => void} settings.take
   * @param {() => boolean} settings.isLive  Whether more is to come.
   */
  async follow(stream, { fromMs, take, isLive }) {
    const { signal } = this.#stopped;
    for (let more = true; more && !signal.aborted; ) {
      // A page that nobody sees draws nothing: it fetches the whole when it is looked at again.
      if (document.visibilityState === "visible") {
        const live = isLive();
        const found = await this.#fetch(stream, fromMs);
        if (signal.aborted) return;
        if (found === "none") return;
        if (found !== null) {
          const lengthMs = (found.samples.length * 1_000) / found.rate;
          take(found.fromMs, found.samples);
          fromMs = found.fromMs + lengthMs;
          if (lengthMs >= WHOLE_MS) continue; // there is more
        }
        more = live || found !== null;
      }
      await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
    }
  }

  stop() {
    this.#stopped.abort();
  }

  /** null: nothing new. "none": the server keeps none of it. */
  async #fetch(stream, fromMs) {
    const address = new URL(`/v1/streams/${encodeURIComponent(stream)}/audio`, this.#base);
    address.search = new URLSearchParams({ from_ms: String(Math.ceil(fromMs)), to_ms: String(ALL_MS) });
    try {
      const { signal } = this.#stopped;
      const answer = await fetch(address, { cache: "no-store", headers: this.#headers, signal });
      if (answer.status === 404 || answer.status === 401) return "none";
      if (answer.status !== 200) return null;
      const begins = Number(answer.headers.get("Emostream-From-Ms"));
      const wav = readWav(await answer.arrayBuffer());
      return wav === null || !Number.isFinite(begins) ? null : { fromMs: begins, ...wav };
    } catch {
      return null; // the server is away; the connection says so
    }
  }
}

/**
 * @param {ArrayBuffer} file  16-bit mono PCM, as the server writes it.
 * @returns {{rate: number, samples: Float32Array} | null}
 */
export function readWav(file) {
  const view = new DataView(file);
  const is = (at, name) => [...name].every((letter, i) => view.getUint8(at + i) === letter.charCodeAt(0));
  if (view.byteLength < 44 || !is(0, "RIFF") || !is(8, "WAVE")) return null;
  let rate = 0;
  for (let at = 12; at + 8 <= view.byteLength; ) {
    const length = view.getUint32(at + 4, true);
    if (is(at, "fmt ") && at + 16 <= view.byteLength) rate = view.getUint32(at + 12, true);
    if (is(at, "data") && rate > 0) {
      const samples = new Float32Array(Math.min(length, view.byteLength - at - 8) >> 1);
      for (let i = 0; i < samples.length; i++) samples[i] = view.getInt16(at + 8 + 2 * i, true) / 32_768;
      return { rate, samples };
    }
    at += 8 + length + (length & 1);
  }
  return null;
}
