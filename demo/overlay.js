/** The overlay: the words and the emotion of a stream, transparent, for OBS and other programs that show a page. */
import { element } from "./dom.js";
import { percent, title } from "./format.js";
import { icon } from "./icons.js";
import { readOptions } from "./overlay_options.js";
import { OverlayState } from "./overlay_state.js";
import { StreamSubscriber } from "./stream_subscriber.js";
import { storeToken, storedToken } from "./token_store.js";

const part = (id) => document.getElementById(id);
const { options, problem } = readOptions(location.search);
const state = new OverlayState(options);
const subscriber = new StreamSubscriber({ base: location.href, token: storedToken(), report });
let timer = null;

applyStyle();
showProblem(problem);
part("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  storeToken(part("token").value);
  part("token-form").hidden = true;
  subscriber.useToken(part("token").value);
});
subscriber.subscribe(options.stream);

/** @param {import("./stream_subscriber.js").Report} reported */
function report(reported) {
  if (reported.kind === "event") {
    state.add(reported.event, performance.now());
    render();
  } else if (reported.kind === "token_required") {
    part("token-form").hidden = false;
    part("token-error").textContent = reported.wrong ? "This token is not valid." : "";
  } else if (reported.kind === "phase" && reported.phase === "refused") {
    showProblem(problem ?? reported.message);
  } else if (reported.kind === "phase" && reported.phase === "live") {
    showProblem(problem);
  }
}

function render() {
  clearTimeout(timer);
  const { shown } = state;
  part("overlay").replaceChildren(...(shown === null ? [] : [emotion(shown), words(shown)].filter(Boolean)));
  if (state.untilMs === Infinity) return;
  timer = setTimeout(() => {
    state.expire(performance.now());
    render();
  }, Math.max(0, state.untilMs - performance.now()));
}

/** @param {import("./events.js").Emotion} event */
function emotion({ label, confidence, final, reliable }) {
  const name = title(label) + (options.unsure === "mark" && !reliable ? "?" : "");
  const text = options.confidence === "on" ? `${name} ${percent(confidence)}` : name;
  const stage = final ? "final" : "interim";
  return element("p", { class: `emotion ${stage}`, "data-label": label }, [icon(label), text]);
}

/** @param {import("./events.js").Emotion} event */
function words({ text, final }) {
  if (options.words === "off" || text === "") return null;
  return element("p", { class: `words ${final ? "final" : "interim"}` }, [text]);
}

function applyStyle() {
  const { dataset, style } = part("overlay");
  dataset.align = options.align;
  dataset.position = options.position;
  style.setProperty("--size", `${options.size}px`);
  style.setProperty("--text", options.color);
  if (options.background !== null) style.setProperty("--box", options.background);
  if (options.font !== null) style.fontFamily = `"${options.font}", var(--sans)`;
}

/** @param {string | null} text */
function showProblem(text) {
  part("problem").hidden = text === null;
  part("problem").textContent = text ?? "";
}
