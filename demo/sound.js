/**
 * The sound that the page holds: the last minutes of it to be heard again, and the loudness of all of it to
 * be drawn. Times are milliseconds of the page's clock (see journal.js).
 */

const PEAK_MS = 10;
const HELD_BYTES = 64 << 20; // 35 minutes at 16 kHz, 11 at 48 kHz
const LONGEST_MS = 24 * 3_600_000; // of peaks, behind the first sound: 8.6 MB

export class HeldSound {
  /** Whether there will be any: false where the server keeps none. */
  expected = false;

  #rate;
  #seconds = new Map(); // number of the second -> its samples; the oldest first
  #peaks = new Uint8Array(60 * (1_000 / PEAK_MS));
  #secondPeaks = new Uint8Array(60);
  #endMs = 0;
  #originMs = null; // of the peaks: a whole second

  /** @param {number} rate  Samples a second. */
  constructor(rate) {
    this.#rate = rate;
  }

  get rate() {
    return this.#rate;
  }

  /** Up to where there is sound. */
  get endMs() {
    return this.#endMs;
  }

  /**
   * @param {number} fromMs  Where it begins.
   * @param {Float32Array} samples  1.0 is full scale.
   */
  add(fromMs, samples) {
    if (samples.length === 0 || fromMs < 0) return;
    this.#originMs ??= Math.floor(fromMs / 1_000) * 1_000;
    if (fromMs > this.#originMs + LONGEST_MS) return;
    this.expected = true;
    const first = Math.round((fromMs * this.#rate) / 1_000);
    this.#hold(first, samples);
    this.#measure(first, samples);
    this.#endMs = Math.max(this.#endMs, ((first + samples.length) * 1_000) / this.#rate);
  }

  #hold(first, samples) {
    for (let done = 0; done < samples.length; ) {
      const second = Math.floor((first + done) / this.#rate);
      const offset = first + done - second * this.#rate;
      const length = Math.min(samples.length - done, this.#rate - offset);
      let held = this.#seconds.get(second);
      if (held === undefined) this.#seconds.set(second, (held = new Int16Array(this.#rate)));
      for (let i = 0; i < length; i++) {
        held[offset + i] = Math.max(-32_768, Math.min(32_767, samples[done + i] * 32_768));
      }
      done += length;
    }
    while (this.#seconds.size * this.#rate * 2 > HELD_BYTES) {
      this.#seconds.delete(this.#seconds.keys().next().value);
    }
  }

  #measure(at, samples) {
    const perPeak = (this.#rate * PEAK_MS) / 1_000;
    const first = at - (this.#originMs / 1_000) * this.#rate;
    for (let i = Math.max(0, -first); i < samples.length; ) {
      const slot = Math.floor((first + i) / perPeak);
      const end = Math.min(samples.length, Math.ceil((slot + 1) * perPeak) - first);
      let loudest = 0;
      for (; i < end; i++) loudest = Math.max(loudest, Math.abs(samples[i]));
      const value = Math.min(255, Math.round(loudest * 255));
      this.#peaks = raised(this.#peaks, slot, value);
      this.#secondPeaks = raised(this.#secondPeaks, Math.floor((slot * PEAK_MS) / 1_000), value);
    }
  }

  /**
   * @returns {number} The loudest sample between two moments, 0 to 1.
   */
  peak(fromMs, toMs) {
    // Whole seconds have a peak of their own, so that hours are drawn as fast as seconds.
    const coarse = toMs - fromMs >= 2_000;
    const [peaks, unit] = coarse ? [this.#secondPeaks, 1_000] : [this.#peaks, PEAK_MS];
    let loudest = 0;
    const originMs = this.#originMs ?? 0;
    const last = Math.min(peaks.length, Math.ceil((toMs - originMs) / unit));
    for (let i = Math.max(0, Math.floor((fromMs - originMs) / unit)); i < last; i++) loudest = Math.max(loudest, peaks[i]);
    return loudest / 255;
  }

  /** Whether any of this span can still be heard. */
  holds(fromMs, toMs) {
    for (let second = Math.floor(fromMs / 1_000); second * 1_000 < toMs; second++) {
      if (this.#seconds.has(second)) return true;
    }
    return false;
  }

  /**
   * @returns {Float32Array} The samples of a span; what is not held any more is silence.
   */
  samples(fromMs, toMs) {
    const [first, last] = [fromMs, toMs].map((ms) => Math.max(0, Math.round((ms * this.#rate) / 1_000)));
    const found = new Float32Array(Math.max(0, last - first));
    for (let at = first; at < last; ) {
      const second = Math.floor(at / this.#rate);
      const end = Math.min(last, (second + 1) * this.#rate);
      const held = this.#seconds.get(second);
      if (held) for (let i = at; i < end; i++) found[i - first] = held[i - second * this.#rate] / 32_768;
      at = end;
    }
    return found;
  }
}

/** peaks[slot] at least value; twice as long where it is too short. */
function raised(peaks, slot, value) {
  if (slot >= peaks.length) {
    const longer = new Uint8Array(Math.max(slot + 1, 2 * peaks.length));
    longer.set(peaks);
    peaks = longer;
  }
  if (value > peaks[slot]) peaks[slot] = value;
  return peaks;
}

/** Plays one span at a time. */
export class Player {
  #context = null;
  #node = null;
  #onChange;
  #began = 0;
  #fromMs = 0;
  #wishes = 0; // how often somebody wanted something else

  /** The key of what plays, null where nothing does. */
  playing = null;

  /** @param {() => void} onChange  Told when something begins or ends to play. */
  constructor(onChange) {
    this.#onChange = onChange;
  }

  /** Where it is, on the page's clock; null where nothing plays. */
  get positionMs() {
    if (this.#node === null) return null;
    return this.#fromMs + 1_000 * (this.#context.currentTime - this.#began);
  }

  /**
   * To be called from a click or a key. The same again stops it.
   *
   * @param {string} key
   * @param {HeldSound} sound
   */
  async toggle(key, sound, fromMs, toMs) {
    const same = this.playing === key;
    this.stop();
    if (same) return;
    const samples = sound.samples(fromMs, toMs);
    if (samples.length === 0) return;
    const wish = ++this.#wishes;
    this.playing = key;
    this.#fromMs = fromMs;
    this.#context ??= new AudioContext();
    await this.#context.resume();
    if (wish !== this.#wishes) return; // somebody has wished for something else meanwhile
    const buffer = this.#context.createBuffer(1, samples.length, sound.rate);
    buffer.copyToChannel(samples, 0);
    const node = this.#context.createBufferSource();
    node.buffer = buffer;
    node.connect(this.#context.destination);
    node.onended = () => this.#node === node && this.stop();
    this.#node = node;
    this.#began = this.#context.currentTime;
    node.start();
    this.#onChange();
  }

  stop() {
    if (this.playing === null) return;
    this.#wishes++;
    this.#node?.stop();
    this.#node = this.playing = null;
    this.#onChange();
  }
}
