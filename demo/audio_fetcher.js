/** Fetches the audio that the server keeps of the stream that is shown, as it becomes available. */

const POLL_MS = 500;
const NO_END_MS = 9e12;
const FULL_RESPONSE_MS = 59_000; // a response holds a minute at most

export class AudioFetcher {
  #base;
  #headers;
  #abort = new AbortController();

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
   * Fetch until stopped, until the stream has ended, or until the server keeps none any more. Never rejects.
   *
   * @param {string} stream
   * @param {object} settings  Times are on the stream's own clock.
   * @param {number} settings.fromMs  Where to begin.
   * @param {(fromMs: number, samples: Float32Array) => void} settings.onAudio
   * @param {() => boolean} settings.isLive  Whether more will follow.
   */
  async run(stream, { fromMs, onAudio, isLive }) {
    const { signal } = this.#abort;
    for (let more = true; more && !signal.aborted; ) {
      // A hidden page draws nothing: it fetches what it missed once it is visible again.
      if (document.visibilityState === "visible") {
        const live = isLive();
        const found = await this.#fetch(stream, fromMs);
        if (signal.aborted) return;
        if (found === "none") return;
        if (found !== null) {
          const lengthMs = (found.samples.length * 1_000) / found.rateHz;
          onAudio(found.fromMs, found.samples);
          fromMs = found.fromMs + lengthMs;
          if (lengthMs >= FULL_RESPONSE_MS) continue; // there is more
        }
        more = live || found !== null;
      }
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  stop() {
    this.#abort.abort();
  }

  /** null: nothing new. "none": the server keeps no audio of it. */
  async #fetch(stream, fromMs) {
    const address = new URL(`v1/streams/${encodeURIComponent(stream)}/audio`, this.#base);
    address.search = new URLSearchParams({ from_ms: String(Math.ceil(fromMs)), to_ms: String(NO_END_MS) });
    try {
      const { signal } = this.#abort;
      const response = await fetch(address, { cache: "no-store", headers: this.#headers, signal });
      if (response.status === 404 || response.status === 401) return "none";
      if (response.status !== 200) return null;
      const startMs = Number(response.headers.get("Emostream-From-Ms"));
      const wav = parseWav(await response.arrayBuffer());
      return wav === null || !Number.isFinite(startMs) ? null : { fromMs: startMs, ...wav };
    } catch {
      return null; // the server is gone, which the connection reports
    }
  }
}

/**
 * @param {ArrayBuffer} file  16-bit mono PCM, as the server writes it.
 * @returns {{rateHz: number, samples: Float32Array} | null}
 */
export function parseWav(file) {
  const view = new DataView(file);
  const hasTag = (at, tag) => [...tag].every((letter, i) => view.getUint8(at + i) === letter.charCodeAt(0));
  if (view.byteLength < 44 || !hasTag(0, "RIFF") || !hasTag(8, "WAVE")) return null;
  let rateHz = 0;
  for (let at = 12; at + 8 <= view.byteLength; ) {
    const length = view.getUint32(at + 4, true);
    if (hasTag(at, "fmt ") && at + 16 <= view.byteLength) rateHz = view.getUint32(at + 12, true);
    if (hasTag(at, "data") && rateHz > 0) {
      const samples = new Float32Array(Math.min(length, view.byteLength - at - 8) >> 1);
      for (let i = 0; i < samples.length; i++) samples[i] = view.getInt16(at + 8 + 2 * i, true) / 32_768;
      return { rateHz, samples };
    }
    at += 8 + length + (length & 1);
  }
  return null;
}
