/** Probabilities as bars. */
import { element } from "./dom.js";
import { percent } from "./format.js";

/** The probability of each emotion. */
export function bars(order, { label, probabilities }) {
  const list = element("ul", { class: "bars", "aria-label": "Probability of each emotion" });
  updateBars(list, order, { label, probabilities });
  return list;
}

/** Let bars that are shown move to other probabilities. */
export function updateBars(list, order, { label, probabilities }) {
  const shown = [...list.children].map((row) => row.dataset.label);
  if (shown.length !== order.length || shown.some((name, i) => name !== order[i])) {
    list.replaceChildren(...order.map((name) => row(name)));
  }
  for (const [i, name] of order.entries()) {
    const p = probabilities[name] ?? 0;
    const [, track, share] = list.children[i].children;
    list.children[i].className = name === label ? "top" : "";
    fill(track, p);
    if (share.textContent !== percent(p)) share.textContent = percent(p);
  }
}

const row = (name) =>
  element("li", { "data-label": name }, [
    element("span", { class: "name" }, [name]),
    bar(0),
    element("span", { class: "share" }, [percent(0)]),
  ]);

/** @param {number} p  0 to 1: how much of the track is filled. */
export function bar(p) {
  const track = element("span", { class: "track", "aria-hidden": "true" }, [element("i")]);
  fill(track, p);
  return track;
}

function fill(track, p) {
  track.firstElementChild.style.setProperty("width", `${100 * Math.min(1, Math.max(0, p))}%`);
}

/** The server's labels first; a label that it did not announce is shown as well. */
export function barOrder(labels, scores) {
  const known = labels.filter((label) => label in scores);
  return [...known, ...Object.keys(scores).filter((label) => !known.includes(label))];
}
