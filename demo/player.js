/**
 * Plays one span of the session's audio at a time, or all of it from a moment on.
 *
 * @typedef {object} Sound  An AudioRingBuffer (audio_buffer.js), or a ServerAudio (server_audio.js).
 * @property {number} rateHz
 * @property {(fromMs: number, toMs: number) => Float32Array} read
 * @property {(fromMs: number) => number} soundUntil  Until when there is sound from a moment on.
 * @property {(fromMs: number, toMs: number) => Promise<void>} [load]  Where it has to be fetched: this span.
 * @property {(fromMs: number) => Promise<void>} [want]  What follows this moment.
 */

const CHUNK_MS = 500;
const AHEAD_S = 1; // so much is handed to the browser before it is heard
const CHECK_MS = 200;

/** What is `playing` while the session is listened to. */
export const LISTENING = "listening";

export class Player {
  #context = null;
  #nodes = new Set();
  #onChange;
  #startedAt = 0;
  #fromMs = 0;
  #timer = null;
  #requests = 0; // a later request cancels one that still waits for the context

  /** The key of what is playing, LISTENING, or null if nothing is. */
  playing = null;

  /** @param {() => void} onChange  Called when playback begins or ends. */
  constructor(onChange) {
    this.#onChange = onChange;
  }

  /** The playback position on the page's clock; null if nothing is playing. */
  get positionMs() {
    if (this.#nodes.size === 0) return null;
    return this.#fromMs + 1_000 * Math.max(0, this.#context.currentTime - this.#startedAt);
  }

  /**
   * Play, or stop if the same key is playing. Must be called from a click or a key press.
   *
   * @param {string} key
   * @param {Sound} audio
   */
  async toggle(key, audio, fromMs, toMs) {
    const same = this.playing === key;
    this.stop();
    if (same || toMs <= fromMs) return;
    if (!(await this.#begin(key, audio.load?.(fromMs, toMs)))) return;
    const samples = audio.read(fromMs, toMs);
    this.#fromMs = fromMs;
    this.#startedAt = this.#context.currentTime;
    const request = this.#requests;
    const node = this.#schedule(samples, audio.rateHz, this.#startedAt);
    node.addEventListener("ended", () => request === this.#requests && this.stop());
    this.#onChange();
  }

  /**
   * Play from a moment on, and go on with what comes, until it is stopped; stop if it is playing. Where the audio
   * has not come yet it waits. Must be called from a click or a key press.
   *
   * @param {Sound} audio
   */
  async listen(audio, fromMs) {
    const same = this.playing === LISTENING;
    this.stop();
    if (same || !(await this.#begin(LISTENING))) return;
    let [nextMs, nextAt] = [fromMs, -1];
    const schedule = () => {
      const { currentTime } = this.#context;
      if (nextAt < currentTime) {
        // The first, or one after a wait: it begins now.
        [this.#fromMs, this.#startedAt] = [nextMs, currentTime];
        nextAt = currentTime;
      }
      audio.want?.(nextMs);
      for (let until; nextAt < currentTime + AHEAD_S && (until = audio.soundUntil(nextMs)) > nextMs; ) {
        const toMs = Math.min(nextMs + CHUNK_MS, until);
        const samples = audio.read(nextMs, toMs);
        if (samples.length === 0) break;
        this.#schedule(samples, audio.rateHz, nextAt);
        nextAt += samples.length / audio.rateHz;
        nextMs = toMs;
      }
      this.#timer = setTimeout(schedule, CHECK_MS);
    };
    schedule();
    this.#onChange();
  }

  stop() {
    if (this.playing === null) return;
    this.#requests++;
    clearTimeout(this.#timer);
    const nodes = [...this.#nodes];
    this.#nodes.clear();
    this.playing = null;
    for (const node of nodes) node.stop();
    this.#onChange();
  }

  /** Whether it is still wanted once the browser lets it be heard, and it is `loaded`. */
  async #begin(key, loaded) {
    const request = ++this.#requests;
    this.playing = key;
    this.#context ??= new AudioContext();
    await Promise.all([this.#context.resume(), loaded]);
    return request === this.#requests;
  }

  #schedule(samples, rateHz, at) {
    const buffer = this.#context.createBuffer(1, samples.length, rateHz);
    buffer.copyToChannel(samples, 0);
    const node = this.#context.createBufferSource();
    node.buffer = buffer;
    node.connect(this.#context.destination);
    node.addEventListener("ended", () => this.#nodes.delete(node));
    this.#nodes.add(node);
    node.start(at);
    return node;
  }
}
