/** Plays one span of the session's audio at a time. */

export class Player {
  #context = null;
  #node = null;
  #onChange;
  #startedAt = 0;
  #fromMs = 0;
  #requests = 0; // a later request cancels one that still waits for the context

  /** The key of what is playing, null if nothing is. */
  playing = null;

  /** @param {() => void} onChange  Called when playback begins or ends. */
  constructor(onChange) {
    this.#onChange = onChange;
  }

  /** The playback position on the page's clock; null if nothing is playing. */
  get positionMs() {
    if (this.#node === null) return null;
    return this.#fromMs + 1_000 * (this.#context.currentTime - this.#startedAt);
  }

  /**
   * Play, or stop if the same key is playing. Must be called from a click or a key press.
   *
   * @param {string} key
   * @param {import("./audio_buffer.js").AudioRingBuffer} audio
   */
  async toggle(key, audio, fromMs, toMs) {
    const same = this.playing === key;
    this.stop();
    if (same) return;
    const samples = audio.read(fromMs, toMs);
    if (samples.length === 0) return;
    const request = ++this.#requests;
    this.playing = key;
    this.#fromMs = fromMs;
    this.#context ??= new AudioContext();
    await this.#context.resume();
    if (request !== this.#requests) return;
    const buffer = this.#context.createBuffer(1, samples.length, audio.rateHz);
    buffer.copyToChannel(samples, 0);
    const node = this.#context.createBufferSource();
    node.buffer = buffer;
    node.connect(this.#context.destination);
    node.onended = () => this.#node === node && this.stop();
    this.#node = node;
    this.#startedAt = this.#context.currentTime;
    node.start();
    this.#onChange();
  }

  stop() {
    if (this.playing === null) return;
    this.#requests++;
    this.#node?.stop();
    this.#node = this.playing = null;
    this.#onChange();
  }
}
