/** The current emotion, large, with its words: the first thing on the page. */
import { bars, barOrder, time, words } from "./card.js";
import { element } from "./dom.js";
import { percent, title } from "./format.js";
import { icon } from "./icons.js";
import { isFinished } from "./store.js";

const MIN_MS = 500;

/**
 * What the headline shows: the newest result that can be relied on, and the utterance in progress where that is
 * another one. Nothing of an earlier session is current.
 *
 * @param {import("./store.js").Item[]} items  Oldest first.
 * @returns {{shown: import("./store.js").Result | null,
 *   inProgress: import("./store.js").Speaking | import("./store.js").Result | null}}
 */
export function pickHeadline(items) {
  const current = items.slice(items.findLastIndex(({ kind }) => kind === "divider") + 1);
  const shown = current.findLast(canBeReliedOn) ?? null;
  const inProgress = current.findLast((item) => !isFinished(item)) ?? null;
  return { shown, inProgress: inProgress === shown ? null : inProgress };
}

/** Also of interim results: the emotion moves while somebody speaks. */
function canBeReliedOn(item) {
  if (item.kind !== "result") return false;
  const { reliable, startMs, endMs } = item.emotion;
  return reliable && endMs - startMs >= MIN_MS;
}

export class Headline {
  #part;

  /** @param {HTMLElement} part  The section that it fills. */
  constructor(part) {
    this.#part = part;
  }

  /**
   * @param {import("./store.js").Item[]} items
   * @param {string[]} labels  In the order of the bars.
   */
  render(items, labels) {
    const { shown, inProgress } = pickHeadline(items);
    const hasResults = items.some(({ kind }) => kind === "result");
    this.#part.hidden = !hasResults && inProgress === null;
    this.#part.dataset.label = shown?.emotion.label ?? "";
    this.#part.classList.toggle("interim", shown !== null && !shown.emotion.final);
    this.#part.replaceChildren(...(shown === null ? [nothingYet()] : result(shown.emotion, labels)), progress(inProgress));
  }
}

function nothingYet() {
  return element("p", { class: "words none" }, ["No emotion so far that can be relied on."]);
}

/** @param {import("./events.js").Emotion} emotion */
function result(emotion, labels) {
  const length = emotion.text.length > 120 ? "long" : "short";
  return [
    element("header", {}, [
      icon(emotion.label),
      element("h2", {}, [title(emotion.label)]),
      element("span", { class: "confidence" }, [percent(emotion.confidence)]),
      emotion.final ? null : element("span", { class: "chip" }, ["interim"]),
      time(emotion.startMs, emotion.endMs),
    ]),
    element("div", { class: "body", "data-length": length }, [
      words(emotion),
      bars(barOrder(labels, emotion.probabilities), emotion),
    ]),
  ];
}

/** One line, which is there when it is empty too, so that nothing below it moves. */
function progress(item) {
  if (item === null) return element("p", { class: "progress" });
  const wave = element("span", { class: "wave", "aria-hidden": "true" }, [1, 2, 3, 4, 5].map(() => element("i")));
  const text = item.kind === "result" && !item.emotion.final ? item.emotion.text : "";
  return element("p", { class: "progress" }, [wave, element("span", {}, [text || "Speaking…"])]);
}
