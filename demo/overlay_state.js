/**
 * What the overlay shows of a stream: the newest result, for a while.
 *
 * No DOM in here, and no time but that of the arguments.
 *
 * @typedef {import("./events.js").Emotion} Emotion
 * @typedef {import("./overlay_options.js").Options} Options
 */
export class OverlayState {
  #options;
  #session = null;
  #clockMs = 0;
  #untilMs = Infinity; // in the page's time

  /** @type {Emotion | null} */
  shown = null;

  /** @param {Options} options */
  constructor(options) {
    this.#options = options;
  }

  /** When what is shown disappears, in the page's time; Infinity: with the next result. */
  get untilMs() {
    return this.#untilMs;
  }

  /**
   * @param {import("./events.js").ServerEvent} event
   * @param {number} nowMs  The page's time.
   */
  add(event, nowMs) {
    switch (event.type) {
      case "ready":
        if (event.session !== this.#session) this.#clear();
        this.#session = event.session;
        this.#clockMs = event.clockMs;
        return;
      case "emotion":
        if (this.#takes(event)) this.#show(event, nowMs);
        return;
      case "no_emotion":
        if (this.shown?.utterance === event.utterance) this.#clear();
    }
  }

  /** @param {number} nowMs */
  expire(nowMs) {
    if (nowMs >= this.#untilMs) this.#clear();
  }

  #takes(event) {
    const { interim, unsure } = this.#options;
    if (!event.final && interim === "off") return false;
    if (unsure === "hide" && !event.reliable) return false;
    return this.shown === null || event.utterance >= this.shown.utterance;
  }

  /** Results that are older than they would be held come when the page joins a stream: they are not shown. */
  #show(event, nowMs) {
    const holdMs = this.#options.hold === 0 ? Infinity : 1_000 * this.#options.hold;
    const ageMs = Math.max(0, this.#clockMs - event.endMs);
    if (ageMs >= holdMs) return;
    this.shown = event;
    this.#untilMs = nowMs + holdMs - ageMs;
  }

  #clear() {
    this.shown = null;
    this.#untilMs = Infinity;
  }
}
