/**
 * What becomes of a microphone that the system takes away: a phone call interrupts it, a switch mutes it, the
 * machine sleeps. The audio that is missing becomes gaps, so that the session's clock goes on, and the state is
 * reported. Pure: both clocks are arguments.
 *
 * @typedef {import("./client.d.ts").CaptureState} CaptureState
 */

const SILENT_AFTER_MS = 5_000;
const MIN_GAP_MS = 100; // shorter ones are jitter of the clocks

/** Audio that is missing at this point of a source, in milliseconds. */
export class AudioGap {
  /** @param {number} ms */
  constructor(ms) {
    this.ms = ms;
  }
}

export class CaptureMonitor {
  #push;
  #onState;
  #now;
  #audioNow;
  #rateHz;
  #state = "running";
  #interrupted = false;
  #muted = false;
  #awayFrom = null; // interrupted or muted, and no gap yet from here on
  #last = null; // {now, audioNow, endFrame} of the last block; null: nothing to compare the next one with
  #blockAt;

  /**
   * @param {object} settings
   * @param {(item: Float32Array | AudioGap) => void} settings.push
   * @param {(state: CaptureState) => void} settings.onState
   * @param {() => number} settings.now  Milliseconds that pass.
   * @param {() => number} settings.audioNow  Milliseconds of the audio clock, which stands still in an interruption.
   * @param {number} settings.rateHz
   */
  constructor({ push, onState, now, audioNow, rateHz }) {
    this.#push = push;
    this.#onState = onState;
    this.#now = now;
    this.#audioNow = audioNow;
    this.#rateHz = rateHz;
    this.#blockAt = now();
  }

  /**
   * @param {Float32Array} samples
   * @param {number} endFrame  Of the audio clock.
   */
  block(samples, endFrame) {
    this.#blockAt = this.#now();
    if (this.#awayFrom !== null) return; // a muted track gives zeros
    const lostMs = this.#lostMs(samples.length, endFrame);
    if (lostMs >= MIN_GAP_MS) this.#push(new AudioGap(lostMs));
    this.#push(samples);
    this.#report();
  }

  /** The audio clock stands still, or goes on. */
  setInterrupted(interrupted) {
    this.#interrupted = interrupted;
    this.#change();
  }

  setMuted(muted) {
    this.#muted = muted;
    this.#change();
  }

  /** To be called every second or so: a gap of hours is sent in pieces, so that the server does not wait. */
  tick() {
    if (this.#awayFrom !== null) this.#pushGap();
    this.#report();
  }

  #change() {
    const away = this.#interrupted || this.#muted;
    if (away && this.#awayFrom === null) this.#awayFrom = this.#now();
    if (!away && this.#awayFrom !== null) {
      this.#pushGap();
      this.#awayFrom = this.#last = null;
      this.#blockAt = this.#now();
    }
    this.#report();
  }

  #pushGap() {
    const now = this.#now();
    if (now > this.#awayFrom) this.#push(new AudioGap(now - this.#awayFrom));
    this.#awayFrom = now;
  }

  /**
   * Since the last block: audio that the clock counted and no block brought, and time in which the clock stood
   * still. A page that was busy gets its blocks late, and has lost nothing.
   */
  #lostMs(frames, endFrame) {
    const last = this.#last;
    this.#last = { now: this.#now(), audioNow: this.#audioNow(), endFrame };
    if (last === null) return 0;
    const missingMs = ((endFrame - frames - last.endFrame) * 1_000) / this.#rateHz;
    const stoodStillMs = this.#last.now - last.now - (this.#last.audioNow - last.audioNow);
    return Math.max(0, missingMs) + (stoodStillMs >= MIN_GAP_MS ? stoodStillMs : 0);
  }

  #report() {
    const state = this.#currentState();
    if (state === this.#state) return;
    this.#state = state;
    this.#onState(state);
  }

  /** @returns {CaptureState} */
  #currentState() {
    if (this.#interrupted) return "interrupted";
    if (this.#muted) return "muted";
    return this.#now() - this.#blockAt >= SILENT_AFTER_MS ? "silent" : "running";
  }
}
