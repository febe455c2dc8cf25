/** The current emotion, large, with its words: the first thing on the page. */
import { barOrder, updateBars } from "./bars.js";
import { words } from "./card.js";
import { element } from "./dom.js";
import { percent, span, title } from "./format.js";
import { icon } from "./icons.js";
import { isFinished } from "./store.js";

const MIN_MS = 500;
const MOST_CHARS = 180; // there is room for so much
const MEDIUM_CHARS = 66;
const LONG_CHARS = 140;

/**
 * What the headline shows: the newest result that can be relied on, and the utterance in progress where that is
 * another one. Nothing of an earlier session is current. hasFinals: whether an utterance of this session has ended.
 *
 * @param {import("./store.js").Item[]} items  Oldest first.
 * @returns {{shown: import("./store.js").Result | null,
 *   inProgress: import("./store.js").Speaking | import("./store.js").Result | null, hasFinals: boolean}}
 */
export function pickHeadline(items) {
  const current = items.slice(items.findLastIndex(({ kind }) => kind === "divider") + 1);
  const shown = current.findLast(canBeReliedOn) ?? null;
  const inProgress = current.findLast((item) => !isFinished(item)) ?? null;
  const hasFinals = current.some((item) => item.kind === "result" && item.emotion.final);
  return { shown, inProgress: inProgress === shown ? null : inProgress, hasFinals };
}

/** Also of interim results: the emotion moves while somebody speaks. */
function canBeReliedOn(item) {
  if (item.kind !== "result") return false;
  const { reliable, startMs, endMs } = item.emotion;
  return reliable && endMs - startMs >= MIN_MS;
}

/**
 * Of long interim words the end, which is what is being said. Of a final all: its beginning is shown.
 *
 * @param {import("./events.js").Emotion} emotion
 * @returns {import("./events.js").Emotion}
 */
export function shownWords(emotion) {
  const { text, final, stableChars } = emotion;
  if (final || text.length <= MOST_CHARS) return emotion;
  const from = text.indexOf(" ", text.length - MOST_CHARS) + 1;
  const shown = `… ${text.slice(from)}`;
  return { ...emotion, text: shown, stableChars: Math.max(0, stableChars - from + 2) };
}

/** Its elements stay, so that the bars move, and nothing below them does. */
export class Headline {
  #part;
  #name = element("h2");
  #icon = element("span", { class: "headline-icon" });
  #confidence = element("span", { class: "confidence" });
  #stage = element("span", { class: "chip" }, ["so far"]);
  #time = element("span", { class: "time" });
  #words = element("div", { class: "spoken" });
  #bars = element("ul", { class: "bars", "aria-label": "Probability of each emotion" });
  #body = element("div", { class: "body" }, [this.#words, this.#bars]);
  #header = element("header", {}, [this.#icon, this.#name, this.#confidence, this.#stage, this.#time]);
  #nothing = element("p", { class: "nothing" });
  #progress = element("p", { class: "progress" });

  /** @param {HTMLElement} part  The section that it fills. */
  constructor(part) {
    this.#part = part;
    part.replaceChildren(this.#header, this.#body, this.#nothing, this.#progress);
  }

  /**
   * @param {import("./store.js").Item[]} items
   * @param {string[]} labels  In the order of the bars.
   */
  render(items, labels) {
    const { shown, inProgress, hasFinals } = pickHeadline(items);
    const hasResults = items.some(({ kind }) => kind === "result");
    this.#part.hidden = !hasResults && inProgress === null;
    this.#header.hidden = this.#body.hidden = shown === null;
    this.#nothing.hidden = shown !== null;
    this.#nothing.textContent = hasFinals ? "No emotion so far that can be relied on." : "Listening…";
    if (shown !== null) this.#show(shown.emotion, labels);
    this.#part.dataset.label = shown?.emotion.label ?? "";
    this.#part.classList.toggle("interim", shown !== null && !shown.emotion.final);
    this.#progress.replaceChildren(...progress(inProgress));
  }

  /** @param {import("./events.js").Emotion} emotion */
  #show(emotion, labels) {
    if (this.#part.dataset.label !== emotion.label) this.#icon.replaceChildren(icon(emotion.label));
    this.#name.textContent = title(emotion.label);
    this.#confidence.textContent = percent(emotion.confidence);
    this.#stage.hidden = emotion.final;
    this.#time.textContent = span(emotion.startMs, emotion.endMs);
    const said = shownWords(emotion);
    const { length } = said.text;
    this.#body.dataset.length = length > LONG_CHARS ? "long" : length > MEDIUM_CHARS ? "medium" : "short";
    const wordless = said.text === "" && !said.final;
    this.#words.replaceChildren(wordless ? element("p", { class: "words none" }, speaking("Speaking…")) : words(said));
    updateBars(this.#bars, barOrder(labels, emotion.probabilities), emotion);
  }
}

/** One line, which is there when it is empty too, so that nothing below it moves. */
function progress(item) {
  if (item === null) return [];
  const text = item.kind === "result" && !item.emotion.final ? shownWords(item.emotion).text : "";
  return speaking(text || "Speaking…");
}

function speaking(text) {
  const wave = element("span", { class: "wave", "aria-hidden": "true" }, [1, 2, 3, 4, 5].map(() => element("i")));
  return [wave, element("span", {}, [text])];
}
