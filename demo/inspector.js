/** Everything about the utterance that was chosen on the timeline. */
import { bar, barOrder, chips, time, words } from "./card.js";
import { element } from "./dom.js";
import { duration, ending, percent, title } from "./format.js";
import { icon } from "./icons.js";

const STAGES = [
  ["endpoint", "Pause until it was over"],
  ["queue", "Waited for the models"],
  ["asr", "Words written"],
  ["align", "Words placed in the sound"],
  ["emotion", "Emotion judged"],
];

export class Inspector {
  #part;
  #body;
  #hear;

  /**
   * @param {HTMLElement} part  The section.
   * @param {object} settings
   * @param {() => void} settings.onHear
   * @param {() => void} settings.onClose
   * @param {(by: number) => void} settings.onStep
   */
  constructor(part, { onHear, onClose, onStep }) {
    this.#part = part;
    this.#body = element("div", { class: "chosen-body" });
    this.#hear = button("Hear it", onHear, "primary");
    const tools = element("p", { class: "tools" }, [
      this.#hear,
      button("Earlier", () => onStep(-1)),
      button("Later", () => onStep(1)),
      button("Close", onClose),
    ]);
    part.replaceChildren(this.#body, tools);
  }

  /**
   * @param {(import("./events.js").Emotion & {key: string}) | null} one
   * @param {string[]} labels
   */
  show(one, labels) {
    this.#part.hidden = one === null;
    if (one === null) return;
    const order = barOrder(labels, one.probabilities);
    this.#body.replaceChildren(
      ...[
        element("header", {}, [
          icon(one.label),
          element("h3", { id: "chosen-title" }, [title(one.label)]),
          element("span", { class: "confidence" }, [percent(one.confidence)]),
          time(one.startMs, one.endMs),
        ]),
        words(one),
        chips(one),
        element("div", { class: "figures" }, [figures(order, one), stages(one)]),
        element("p", { class: "small" }, [summary(one)]),
      ].filter((part) => part !== null),
    );
    this.#part.dataset.label = one.label;
  }

  /** @param {{held: boolean, playing: boolean, expected: boolean}} state */
  setHearing({ held, playing, expected }) {
    this.#hear.disabled = !held;
    this.#hear.textContent = playing ? "Stop" : held ? "Hear it" : expected ? "Not held any more" : "No sound kept";
  }
}

/** A row an emotion: fused, by the sound alone, by the words alone. */
function figures(order, { label, probabilities, audioOnly, textOnly }) {
  const views = [
    ["Together", probabilities],
    ["Sound alone", audioOnly],
    ["Words alone", textOnly],
  ];
  const cell = (scores, name) =>
    scores === null
      ? element("td", { class: "none" }, ["–"])
      : element("td", {}, [bar(scores[name] ?? 0), percent(scores[name] ?? 0)]);
  const head = [element("td"), ...views.map(([name]) => element("th", { scope: "col" }, [name]))];
  const rows = order.map((name) =>
    element("tr", { "data-label": name, class: name === label ? "won" : "" }, [
      element("th", { scope: "row" }, [icon(name), ` ${name}`]),
      ...views.map(([, scores]) => cell(scores, name)),
    ]),
  );
  return element("table", { class: "channels-table" }, [
    element("caption", { class: "unseen" }, ["Probability of each emotion"]),
    element("thead", {}, [element("tr", {}, head)]),
    element("tbody", {}, rows),
  ]);
}

/** What each stage took, as bars on one scale. */
function stages({ timing }) {
  if (timing === null) return null;
  const longest = Math.max(1, ...STAGES.map(([stage]) => timing[stage]));
  const rows = STAGES.flatMap(([stage, name]) => [
    element("dt", {}, [name]),
    element("dd", {}, [bar(timing[stage] / longest), duration(timing[stage])]),
  ]);
  const lead = timing.lead > 0 ? `The models began ${duration(timing.lead)} before the pause was long enough. ` : "";
  return element("div", { class: "stages" }, [
    element("dl", {}, rows),
    element("p", { class: "small" }, [`${lead}${duration(timing.total)} from the last sound to the label.`]),
  ]);
}

function summary({ utterance, startMs, endMs, reason, language }) {
  const parts = [`Utterance ${utterance}`, `${duration(endMs - startMs)} long`, ending(reason)];
  if (language) parts.push(`language ${language}`);
  return `${parts.join(" · ")}.`;
}

function button(name, act, kind = "") {
  const made = element("button", { type: "button", class: kind }, [name]);
  made.addEventListener("click", act);
  return made;
}
