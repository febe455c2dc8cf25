/** All figures of the utterance that is selected on the timeline. */
import { bar, barOrder } from "./bars.js";
import { chips, time, words } from "./card.js";
import { element } from "./dom.js";
import { duration, ending, history, percent, title } from "./format.js";
import { icon } from "./icons.js";

const STAGES = [
  ["endpoint", "Pause that ended it"],
  ["queue", "Queued"],
  ["asr", "Transcription"],
  ["align", "Alignment"],
  ["emotion", "Emotion"],
];

export class Inspector {
  #part;
  #body;
  #playButton;

  /**
   * @param {HTMLElement} part  The section.
   * @param {object} settings
   * @param {() => void} settings.onPlay
   * @param {() => void} settings.onClose
   * @param {(by: number) => void} settings.onStep
   */
  constructor(part, { onPlay, onClose, onStep }) {
    this.#part = part;
    this.#body = element("div", { class: "inspector-body" });
    this.#playButton = button("Play", onPlay, "primary");
    const tools = element("p", { class: "tools" }, [
      this.#playButton,
      button("Earlier", () => onStep(-1)),
      button("Later", () => onStep(1)),
      button("Close", onClose),
    ]);
    part.replaceChildren(this.#body, tools);
  }

  /**
   * @param {(import("./events.js").Emotion & {key: string}) | null} utterance
   * @param {string[]} labels
   */
  show(utterance, labels) {
    this.#part.hidden = utterance === null;
    if (utterance === null) return;
    const order = barOrder(labels, utterance.probabilities);
    this.#body.replaceChildren(
      ...[
        element("header", {}, [
          icon(utterance.label),
          element("h3", { id: "selected-title" }, [title(utterance.label)]),
          element("span", { class: "confidence" }, [percent(utterance.confidence)]),
          time(utterance.startMs, utterance.endMs),
        ]),
        words(utterance),
        chips(utterance),
        element("div", { class: "figures" }, [figures(order, utterance), stages(utterance)]),
        element("p", { class: "small" }, [summary(utterance)]),
      ].filter((part) => part !== null),
    );
    this.#part.dataset.label = utterance.label;
    this.#part.dataset.reliable = String(utterance.reliable);
  }

  /**
   * @param {object} state
   * @param {boolean} state.available  Whether its audio can still be played.
   * @param {boolean} state.playing
   * @param {boolean} state.recorded  Whether the page has had audio of this session at all.
   */
  setPlayback({ available, playing, recorded }) {
    this.#playButton.disabled = !available;
    this.#playButton.textContent = playing ? "Stop" : available ? "Play" : recorded ? "Audio no longer kept" : "No audio kept";
  }
}

/** One row per emotion: from both, from the voice alone, from the words alone. */
function figures(order, { label, probabilities, audioOnly, textOnly }) {
  const views = [
    ["Both", probabilities],
    ["Voice", audioOnly],
    ["Words", textOnly],
  ];
  const cell = (scores, name) =>
    scores === null
      ? element("td", { class: "none" }, ["–"])
      : element("td", {}, [bar(scores[name] ?? 0), percent(scores[name] ?? 0)]);
  const head = [element("td"), ...views.map(([name]) => element("th", { scope: "col" }, [name]))];
  const rows = order.map((name) =>
    element("tr", { "data-label": name, class: name === label ? "top" : "" }, [
      element("th", { scope: "row" }, [icon(name), ` ${name}`]),
      ...views.map(([, scores]) => cell(scores, name)),
    ]),
  );
  return element("table", { class: "modalities-table" }, [
    element("caption", { class: "visually-hidden" }, ["Probability of each emotion"]),
    element("thead", {}, [element("tr", {}, head)]),
    element("tbody", {}, rows),
  ]);
}

/** The time of each stage, as bars on one scale. */
function stages({ timing }) {
  if (timing === null) return null;
  const longest = Math.max(1, ...STAGES.map(([stage]) => timing[stage]));
  const rows = STAGES.flatMap(([stage, name]) => [
    element("dt", {}, [name]),
    element("dd", {}, [bar(timing[stage] / longest), duration(timing[stage])]),
  ]);
  const lead = timing.lead > 0 ? `The models started ${duration(timing.lead)} before the pause was long enough. ` : "";
  return element("div", { class: "stages" }, [
    element("dl", {}, rows),
    element("p", { class: "small" }, [`${lead}${duration(timing.total)} from the end of speech to the label.`]),
  ]);
}

function summary({ utterance, startMs, endMs, reason, language, baselineUtterances }) {
  const parts = [`Utterance ${utterance}`, `${duration(endMs - startMs)} long`, ending(reason)];
  if (language) parts.push(`language ${language}`);
  if (baselineUtterances !== null) parts.push(history(baselineUtterances));
  return `${parts.join(" · ")}.`;
}

function button(name, onClick, kind = "") {
  const made = element("button", { type: "button", class: kind }, [name]);
  made.addEventListener("click", onClick);
  return made;
}
