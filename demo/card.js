/** One utterance as a card. Everything from the server is inserted as text, never as markup. */
import { barOrder, bars } from "./bars.js";
import { element } from "./dom.js";
import { clock, duration, ending, history, noEmotion, percent, span, title, uncertainty } from "./format.js";
import { icon } from "./icons.js";

/**
 * @param {import("./store.js").Speaking} item
 * @returns {HTMLElement}
 */
export function speakingCard(item) {
  const wave = element("span", { class: "wave", "aria-hidden": "true" }, [1, 2, 3, 4, 5].map(() => element("i")));
  return card(item, "speaking", [
    element("header", {}, [wave, element("h3", {}, ["Speaking…"]), time(item.startMs, null)]),
  ]);
}

/**
 * @param {import("./store.js").Result} item
 * @param {string[]} labels  In the order of the bars.
 * @param {boolean} [replacing]  Whether an earlier result of the utterance was shown.
 * @returns {HTMLElement}
 */
export function resultCard(item, labels, replacing = false) {
  const { emotion } = item;
  const order = barOrder(labels, emotion.probabilities);
  const stage = emotion.final ? "final" : "interim";
  return card(item, replacing ? `${stage} replacing` : stage, [
    element("header", {}, [
      icon(emotion.label),
      element("h3", {}, [title(emotion.label)]),
      element("span", { class: "confidence" }, [percent(emotion.confidence)]),
      channel(emotion),
        emotion.final ? null : element("span", { class: "chip" }, ["so far"]),
      emotion.final ? selectButton(item.key, emotion) : null,
      time(emotion.startMs, emotion.endMs),
    ]),
    element("div", { class: "body" }, [
      element("div", { class: "transcript" }, [words(emotion), chips(emotion), modalities(emotion)]),
      bars(order, emotion),
      emotion.final ? details(order, emotion) : element("div", { class: "details-space", "aria-hidden": "true" }),
    ]),
  ]);
}

/**
 * @param {import("./store.js").WithoutEmotion} item
 * @returns {HTMLElement}
 */
export function noEmotionCard(item) {
  const { startMs, endMs, reason } = item.event;
  return card(item, "without-emotion", [
    element("header", {}, [element("h3", {}, [noEmotion(reason)]), channel(item.event), time(startMs, endMs)]),
  ]);
}

/** Where each channel is heard on its own, with a speaker of its own. */
function channel({ channel: number }) {
  return number === null ? null : element("span", { class: "chip" }, [`channel ${number}`]);
}

/** Selects the utterance on the timeline, where it can be played and all its figures are shown. */
function selectButton(key, { startMs }) {
  const label = `Show the utterance at ${clock(startMs)} on the timeline`;
  return element("button", { type: "button", class: "select", "data-select": key, "aria-label": label }, ["Show"]);
}

function card(item, stage, children) {
  const label = item.kind === "result" ? item.emotion.label : "";
  return element(
    "article",
    {
      class: `utterance ${stage}`,
      "data-utterance": String(item.utterance),
      "data-final": String(item.kind === "result" && item.emotion.final),
      "data-label": label,
      "data-reliable": String(item.kind !== "result" || item.emotion.reliable),
    },
    children,
  );
}

export function time(startMs, endMs) {
  return element("span", { class: "time" }, [endMs === null ? `from ${clock(startMs)}` : span(startMs, endMs)]);
}

/** The words. What may still change while somebody speaks is in an element of its own. */
export function words({ text, final, stableChars }) {
  if (text === "" && !final) return element("p", { class: "words none" }, ["the words follow when it ends"]);
  if (text === "") return element("p", { class: "words none" }, ["no words: classified from audio only"]);
  if (stableChars >= text.length) return element("p", { class: "words" }, [text]);
  const unstable = element("span", { class: "unstable" }, [text.slice(stableChars)]);
  return element("p", { class: "words" }, [text.slice(0, stableChars), unstable]);
}

export function chips({ uncertain, final }) {
  const reasons = uncertain.filter((reason) => final || reason !== "no_text"); // the text arrives with the final
  if (reasons.length === 0) return null;
  const items = reasons.map((reason) => element("li", { class: "chip uncertain" }, [uncertainty(reason)]));
  return element("ul", { class: "chips", "aria-label": "Why this is uncertain" }, items);
}

/** The most probable emotion of each modality alone, in one line. */
function modalities({ audioOnly, textOnly }) {
  if (textOnly === null) return null;
  const parts = [
    ["Voice alone", audioOnly],
    ["Words alone", textOnly],
  ].map(([name, scores]) => (scores === null ? null : topLabel(name, scores)));
  return element("p", { class: "modalities" }, parts);
}

function topLabel(name, scores) {
  const [label, p] = Object.entries(scores).sort(([, a], [, b]) => b - a)[0] ?? ["", 0];
  if (label === "") return null;
  return element("span", { "data-label": label }, [`${name}: `, icon(label), ` ${label} ${percent(p)}`]);
}

function details(order, emotion) {
  const { probabilities, audioOnly, textOnly } = emotion;
  const cell = (scores, name) => (scores === null ? "–" : percent(scores[name] ?? 0));
  const head = ["", "Both", "Voice", "Words"].map((name) =>
    name === "" ? element("td") : element("th", { scope: "col" }, [name]),
  );
  const rows = order.map((name) =>
    element("tr", { "data-label": name }, [
      element("th", { scope: "row" }, [icon(name), ` ${name}`]),
      ...[probabilities, audioOnly, textOnly].map((scores) => element("td", {}, [cell(scores, name)])),
    ]),
  );
  return element("details", {}, [
    element("summary", {}, ["All figures and timing"]),
    element("table", {}, [element("thead", {}, [element("tr", {}, head)]), element("tbody", {}, rows)]),
    element("p", { class: "small" }, [footnote(emotion)]),
  ]);
}

function footnote({ utterance, reason, language, timing, startMs, endMs, baselineUtterances }) {
  const parts = [`Utterance ${utterance}`, `${duration(endMs - startMs)} long`, ending(reason)];
  if (language) parts.push(`language ${language}`);
  if (baselineUtterances !== null) parts.push(history(baselineUtterances));
  if (timing) {
    const stages = ["queue", "asr", "align", "emotion"].map((stage) => `${stage} ${duration(timing[stage])}`);
    parts.push(`${duration(timing.total)} from the end of speech to this event (${stages.join(", ")})`);
  }
  return `${parts.join(" · ")}.`;
}
