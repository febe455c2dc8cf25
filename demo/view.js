/** Renders the state: changes only the elements whose part of the state changed. */
import { noEmotionCard, resultCard, speakingCard } from "./card.js";
import { element } from "./dom.js";
import { announcement, connectionText, noticeText, title } from "./format.js";
import { Headline } from "./headline.js";
import { icon } from "./icons.js";
import { isFinished } from "./store.js";

const ACCEPTED = new Set(["waiting", "connecting", "live"]);
const RETRYABLE = new Set(["reconnecting", "ended", "refused"]);

export class View {
  #shown = null; // the state that is on the page
  #rows = new Map(); // key -> {item, row}
  #title = "";
  #incompleteSession = null; // the session of which events were lost
  #part = (id) => document.getElementById(id);
  #headline = new Headline(document.getElementById("headline"));

  /** @param {import("./store.js").State} state */
  render(state) {
    const before = this.#shown;
    this.#shown = state;
    if (state.connection !== before?.connection) this.#connection(state);
    const sourceChanged = ["streams", "stream", "local"].some((name) => state[name] !== before?.[name]);
    if (sourceChanged) this.#stream(state);
    if (state.models !== before?.models) this.#models(state.models);
    if (state.labels !== before?.labels) this.#legend(state.labels);
    if (state.items !== before?.items) {
      this.#headline.render(state.items, state.labels);
      this.#items(state.items, state.labels);
    }
    const live = state.connection.phase === "live";
    this.#part("no-utterances").hidden = !live || state.items.length > 0;
    this.#part("help").hidden = state.connection.phase !== "waiting";
    this.#part("events-lost").hidden = this.#incompleteSession === null || this.#incompleteSession !== state.session;
    if (ACCEPTED.has(state.connection.phase)) this.#part("token-form").hidden = true;
    if (before) this.#announce(before, state);
  }

  /** The title of the source that is shown. */
  get title() {
    return this.#title;
  }

  /** The value of the token field. */
  get token() {
    return this.#part("token").value;
  }

  /** @param {string} error  Why the last token was not accepted; empty if there was none. */
  askForToken(error) {
    const field = this.#part("token");
    this.#part("token-form").hidden = false;
    this.#part("token-error").textContent = error;
    field.setAttribute("aria-invalid", String(error !== ""));
    field.value = "";
    // The focus moves only if it is nowhere else, or if a token was just entered.
    if (error !== "" || document.activeElement === document.body) field.focus();
  }

  /** @param {string} session  Of which the server no longer had all events after a break. */
  showEventsLost(session) {
    this.#incompleteSession = session;
  }

  #connection({ connection, local }) {
    this.#part("connection").dataset.state = connection.phase;
    this.#part("connection-text").textContent = connectionText(connection);
    const retryable = local === null ? RETRYABLE.has(connection.phase) : connection.phase === "reconnecting";
    this.#part("retry").hidden = !retryable;
  }

  #stream({ streams, stream, local }) {
    const selected = streams.find(({ name }) => name === stream);
    const shown = local ?? selected;
    this.#title = shown?.title ?? "";
    this.#part("stream-title").textContent = shown?.title ?? stream ?? "No stream yet";
    this.#part("stream-note").textContent = shown?.note ?? "";
    this.#part("stream-note").hidden = !shown?.note;
    this.#part("stream-choice").hidden = streams.length < 2;
    const select = this.#part("stream-select");
    select.replaceChildren(...streams.map(({ name, title }) => element("option", { value: name }, [title])));
    if (selected) select.value = selected.name;
  }

  #models(models) {
    this.#part("models").hidden = models === null;
    if (models === null) return;
    const rows = [
      ["Voice activity", models.vad],
      ["Transcription", transcription(models)],
      ["Emotion", models.emotion],
      ["Device", models.device],
    ];
    const entries = rows.flatMap(([name, value]) => [element("dt", {}, [name]), element("dd", {}, [value])]);
    this.#part("models-list").replaceChildren(...entries);
  }

  #legend(labels) {
    const entries = labels.map((label) => element("li", { "data-label": label }, [icon(label), title(label)]));
    this.#part("legend").replaceChildren(...entries);
  }

  /** Newest first: the newest is visible without scrolling, and what is further down does not move. */
  #items(items, labels) {
    const list = this.#part("utterances");
    const rows = new Map();
    for (const item of items) {
      const known = this.#rows.get(item.key);
      rows.set(item.key, known?.item === item ? known : { item, row: makeRow(item, labels, known?.item) });
    }
    for (const [key, { row }] of this.#rows) if (rows.get(key)?.row !== row) row.remove();
    this.#rows = rows;
    let next = null;
    for (const { row } of rows.values()) {
      if (row.nextElementSibling !== next || row.parentElement !== list) list.insertBefore(row, next);
      next = row;
    }
  }

  /** Announce finals of utterances that were shown in progress, not the past events of a new subscription. */
  #announce(before, { items }) {
    if (items === before.items) return;
    const inProgress = new Set(before.items.filter((item) => !isFinished(item)).map(({ key }) => key));
    const finals = items.filter((item) => item.kind === "result" && isFinished(item) && inProgress.has(item.key));
    if (finals.length > 0) this.#part("announcer").textContent = announcement(finals.at(-1).emotion);
  }
}

/** @param {import("./events.js").Models} models */
function transcription({ asr, asrSource }) {
  if (asr === null) return "none: audio only";
  return asrSource === null ? asr : `${asr}, from the ${asrSource}`;
}

/**
 * @param {import("./store.js").Item} item
 * @param {import("./store.js").Item} [before]  What was shown of it: a card that replaces one does not arrive anew.
 */
function makeRow(item, labels, before) {
  switch (item.kind) {
    case "speaking":
      return element("li", {}, [speakingCard(item)]);
    case "result":
      return element("li", {}, [resultCard(item, labels, before?.kind === "result")]);
    case "no_emotion":
      return element("li", {}, [noEmotionCard(item)]);
    case "notice":
      return element("li", { class: "notice", "data-tone": item.tone }, [noticeText(item)]);
    case "divider":
      return element("li", { class: "divider" }, ["A new session began"]);
  }
}
