/**
 * The audio of the session that is shown: the last minutes of its sound, and the waveform's envelope of all of
 * it for the timeline. Of a stream of the server the envelope comes alone, until its sound is wanted. Times are
 * milliseconds on the page's clock (see session_log.js).
 */

const PEAK_MS = 10;
const MAX_BYTES = 64 << 20; // 35 minutes at 16 kHz, 11 at 48 kHz
const MAX_ENVELOPE_MS = 24 * 3_600_000; // after the first sample: 8.6 MB

export class AudioRingBuffer {
  #rateHz;
  #seconds = new Map(); // number of the second -> its samples; the oldest first
  #peaks = new Uint8Array(60 * (1_000 / PEAK_MS)); // 255 times their square root: quiet speech is not flat
  #secondPeaks = new Uint8Array(60);
  #endMs = 0;
  #originMs = null; // of the envelope: a whole second

  /** @param {number} rateHz */
  constructor(rateHz) {
    this.#rateHz = rateHz;
  }

  get rateHz() {
    return this.#rateHz;
  }

  /** The end of the last audio or envelope that was written. */
  get endMs() {
    return this.#endMs;
  }

  /** Whether any audio or envelope was ever written. */
  get wasWritten() {
    return this.#originMs !== null;
  }

  /**
   * @param {number} fromMs  Where it begins.
   * @param {Float32Array} samples  1.0 is full scale.
   */
  write(fromMs, samples) {
    if (samples.length === 0 || fromMs < 0) return;
    this.#originMs ??= Math.floor(fromMs / 1_000) * 1_000;
    if (fromMs > this.#originMs + MAX_ENVELOPE_MS) return;
    const first = Math.round((fromMs * this.#rateHz) / 1_000);
    this.#store(first, samples);
    this.#measure(first, samples);
    this.#endMs = Math.max(this.#endMs, ((first + samples.length) * 1_000) / this.#rateHz);
  }

  /**
   * The envelope alone, as the server's message `waveform` has it.
   *
   * @param {number} fromMs
   * @param {number} stepMs
   * @param {Uint8Array} values  Of each step, 255 times the square root of the loudest sample.
   */
  writePeaks(fromMs, stepMs, values) {
    if (values.length === 0 || fromMs < 0 || !(stepMs > 0)) return;
    this.#originMs ??= Math.floor(fromMs / 1_000) * 1_000;
    const from = fromMs - this.#originMs;
    for (const [i, value] of values.entries()) {
      const [first, end] = [from + i * stepMs, from + (i + 1) * stepMs];
      if (end > MAX_ENVELOPE_MS) break;
      if (first >= 0) this.#raise(Math.floor(first / PEAK_MS), Math.ceil(end / PEAK_MS), value);
    }
    this.#endMs = Math.max(this.#endMs, fromMs + stepMs * values.length);
  }

  #store(first, samples) {
    for (let done = 0; done < samples.length; ) {
      const second = Math.floor((first + done) / this.#rateHz);
      const offset = first + done - second * this.#rateHz;
      const length = Math.min(samples.length - done, this.#rateHz - offset);
      let stored = this.#seconds.get(second);
      if (stored === undefined) this.#seconds.set(second, (stored = new Int16Array(this.#rateHz)));
      for (let i = 0; i < length; i++) {
        stored[offset + i] = Math.max(-32_768, Math.min(32_767, samples[done + i] * 32_768));
      }
      done += length;
    }
    while (this.#seconds.size * this.#rateHz * 2 > MAX_BYTES) {
      this.#seconds.delete(this.#seconds.keys().next().value);
    }
  }

  #measure(at, samples) {
    const perPeak = (this.#rateHz * PEAK_MS) / 1_000;
    const first = at - (this.#originMs / 1_000) * this.#rateHz;
    for (let i = Math.max(0, -first); i < samples.length; ) {
      const slot = Math.floor((first + i) / perPeak);
      const end = Math.min(samples.length, Math.ceil((slot + 1) * perPeak) - first);
      let loudest = 0;
      for (; i < end; i++) loudest = Math.max(loudest, Math.abs(samples[i]));
      this.#raise(slot, slot + 1, Math.min(255, Math.round(Math.sqrt(loudest) * 255)));
    }
  }

  /** From one slot to before another. */
  #raise(first, end, value) {
    for (let slot = first; slot < end; slot++) this.#peaks = raised(this.#peaks, slot, value);
    const lastSecond = Math.floor(((end - 1) * PEAK_MS) / 1_000);
    for (let second = Math.floor((first * PEAK_MS) / 1_000); second <= lastSecond; second++) {
      this.#secondPeaks = raised(this.#secondPeaks, second, value);
    }
  }

  /**
   * @returns {number} The absolute value of the loudest sample of a span, 0 to 1.
   */
  peak(fromMs, toMs) {
    // Whole seconds have peaks of their own, so that hours are drawn as fast as seconds.
    const coarse = toMs - fromMs >= 2_000;
    const [peaks, unit] = coarse ? [this.#secondPeaks, 1_000] : [this.#peaks, PEAK_MS];
    let loudest = 0;
    const originMs = this.#originMs ?? 0;
    const last = Math.min(peaks.length, Math.ceil((toMs - originMs) / unit));
    for (let i = Math.max(0, Math.floor((fromMs - originMs) / unit)); i < last; i++) loudest = Math.max(loudest, peaks[i]);
    return (loudest / 255) ** 2;
  }

  /** Until when there is sound from this moment on. */
  soundUntil(fromMs) {
    return Math.max(fromMs, this.#endMs);
  }

  /** Whether any of this span can still be played. */
  has(fromMs, toMs) {
    for (let second = Math.floor(fromMs / 1_000); second * 1_000 < toMs; second++) {
      if (this.#seconds.has(second)) return true;
    }
    return false;
  }

  /**
   * @returns {Float32Array} The samples of a span; zeros where there are none, or none any more.
   */
  read(fromMs, toMs) {
    const [first, last] = [fromMs, toMs].map((ms) => Math.max(0, Math.round((ms * this.#rateHz) / 1_000)));
    const samples = new Float32Array(Math.max(0, last - first));
    for (let at = first; at < last; ) {
      const second = Math.floor(at / this.#rateHz);
      const end = Math.min(last, (second + 1) * this.#rateHz);
      const stored = this.#seconds.get(second);
      if (stored) for (let i = at; i < end; i++) samples[i - first] = stored[i - second * this.#rateHz] / 32_768;
      at = end;
    }
    return samples;
  }
}

/** peaks[slot] at least `value`; grows by doubling. */
function raised(peaks, slot, value) {
  if (slot >= peaks.length) {
    const longer = new Uint8Array(Math.max(slot + 1, 2 * peaks.length));
    longer.set(peaks);
    peaks = longer;
  }
  if (value > peaks[slot]) peaks[slot] = value;
  return peaks;
}
