/** One utterance as a card. Everything heard is put in as text, never as markup. */
import { element } from "./dom.js";
import { clock, duration, ending, percent, title, uncertainty } from "./format.js";
import { icon } from "./icons.js";

/**
 * @param {import("./state.js").Speaking} item
 * @returns {HTMLElement}
 */
export function speakingCard(item) {
  const wave = element("span", { class: "wave", "aria-hidden": "true" }, [1, 2, 3, 4, 5].map(() => element("i")));
  return card(item, "speaking", [
    element("header", {}, [wave, element("h3", {}, ["Speaking…"]), time(item.startMs, null)]),
  ]);
}

/**
 * @param {import("./state.js").Judged} item
 * @param {string[]} labels  In the order of the bars.
 * @returns {HTMLElement}
 */
export function judgedCard(item, labels) {
  const { emotion } = item;
  const order = barOrder(labels, emotion.probabilities);
  return card(item, emotion.final ? "final" : "provisional", [
    element("header", {}, [
      icon(emotion.label),
      element("h3", {}, [title(emotion.label)]),
      element("span", { class: "confidence" }, [percent(emotion.confidence)]),
      emotion.final ? null : element("span", { class: "chip" }, ["so far"]),
      emotion.final ? more(item.key, emotion) : null,
      time(emotion.startMs, emotion.endMs),
    ]),
    element("div", { class: "body" }, [
      element("div", { class: "said" }, [words(emotion), chips(emotion), modalities(emotion)]),
      bars(order, emotion),
      emotion.final ? details(order, emotion) : null,
    ]),
  ]);
}

/** Shows it on the timeline, where it can be heard and stands with all its figures. */
function more(key, { startMs }) {
  const label = `Show the utterance at ${clock(startMs)} on the timeline`;
  return element("button", { type: "button", class: "choose", "data-choose": key, "aria-label": label }, ["Show"]);
}

function card(item, stage, children) {
  const label = item.kind === "judged" ? item.emotion.label : "";
  return element(
    "article",
    {
      class: `utterance ${stage}`,
      "data-utterance": String(item.utterance),
      "data-final": String(stage === "final"),
      "data-label": label,
    },
    children,
  );
}

export function time(startMs, endMs) {
  const span = endMs === null ? `from ${clock(startMs)}` : `${clock(startMs)} – ${clock(endMs)}`;
  return element("span", { class: "time" }, [span]);
}

export function words({ text, final }) {
  if (text === "" && !final) return element("p", { class: "words none" }, ["the words come when it ends"]);
  if (text === "") return element("p", { class: "words none" }, ["no words, judged by sound alone"]);
  return element("p", { class: "words" }, [text]);
}

export function chips({ uncertain, final }) {
  const reasons = uncertain.filter((reason) => final || reason !== "no_text"); // they come at the end
  if (reasons.length === 0) return null;
  const items = reasons.map((reason) => element("li", { class: "chip doubt" }, [uncertainty(reason)]));
  return element("ul", { class: "chips", "aria-label": "Why this is uncertain" }, items);
}

/** What each channel would have said alone, in one line. */
function modalities({ audioOnly, textOnly }) {
  if (textOnly === null) return null;
  const parts = [
    ["Sound alone", audioOnly],
    ["Words alone", textOnly],
  ].map(([name, scores]) => (scores === null ? null : channel(name, scores)));
  return element("p", { class: "channels" }, parts);
}

function channel(name, scores) {
  const [label, p] = Object.entries(scores).sort(([, a], [, b]) => b - a)[0] ?? ["", 0];
  if (label === "") return null;
  return element("span", { "data-label": label }, [`${name}: `, icon(label), ` ${label} ${percent(p)}`]);
}

function bars(order, { label, probabilities }) {
  const rows = order.map((name) =>
    element("li", { "data-label": name, class: name === label ? "chosen" : "" }, [
      element("span", { class: "name" }, [name]),
      bar(probabilities[name] ?? 0),
      element("span", { class: "share" }, [percent(probabilities[name] ?? 0)]),
    ]),
  );
  return element("ul", { class: "bars", "aria-label": "Probability of each emotion" }, rows);
}

export function bar(p) {
  const fill = element("i");
  fill.style.setProperty("width", `${100 * Math.min(1, Math.max(0, p))}%`);
  return element("span", { class: "track", "aria-hidden": "true" }, [fill]);
}

function details(order, emotion) {
  const { probabilities, audioOnly, textOnly } = emotion;
  const cell = (scores, name) => (scores === null ? "–" : percent(scores[name] ?? 0));
  const head = ["", "Together", "Sound alone", "Words alone"].map((name) =>
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

function footnote({ utterance, reason, language, timing, startMs, endMs }) {
  const parts = [`Utterance ${utterance}`, `${duration(endMs - startMs)} long`, ending(reason)];
  if (language) parts.push(`language ${language}`);
  if (timing) {
    const stages = ["queue", "asr", "align", "emotion"].map((stage) => `${stage} ${duration(timing[stage])}`);
    parts.push(`${duration(timing.total)} from the last sound to this event (${stages.join(", ")})`);
  }
  return `${parts.join(" · ")}.`;
}

/** The server's labels first; a label it did not announce is shown all the same. */
export function barOrder(labels, scores) {
  const known = labels.filter((label) => label in scores);
  return [...known, ...Object.keys(scores).filter((label) => !known.includes(label))];
}
