/** The page from the state: touches only what changed. */
import { judgedCard, speakingCard } from "./card.js";
import { element } from "./dom.js";
import { announcement, connectionWords, noticeWords, title } from "./format.js";
import { icon } from "./icons.js";
import { isFinished } from "./state.js";

const LET_IN = new Set(["waiting", "connecting", "live"]);
const RETRYABLE = new Set(["reconnecting", "ended", "refused"]);

export class View {
  #shown = null; // the state that is on the page
  #rows = new Map(); // key -> {item, row}
  #title = "";
  #missedIn = null; // the session that events are missing of
  #part = (id) => document.getElementById(id);

  /** @param {import("./state.js").State} state */
  render(state) {
    const before = this.#shown;
    this.#shown = state;
    if (state.connection !== before?.connection) this.#connection(state);
    const named = ["streams", "stream", "own"].some((name) => state[name] !== before?.[name]);
    if (named) this.#stream(state);
    if (state.models !== before?.models) this.#models(state.models);
    if (state.labels !== before?.labels) this.#legend(state.labels);
    if (state.items !== before?.items) this.#items(state.items, state.labels);
    const live = state.connection.phase === "live";
    this.#part("quiet").hidden = !live || state.items.length > 0;
    this.#part("help").hidden = state.connection.phase !== "waiting";
    this.#part("missed").hidden = this.#missedIn === null || this.#missedIn !== state.session;
    if (LET_IN.has(state.connection.phase)) this.#part("token-form").hidden = true;
    if (before) this.#announce(before, state);
  }

  /** Of what is shown. */
  get title() {
    return this.#title;
  }

  /** What stands in the form. */
  get token() {
    return this.#part("token").value;
  }

  /** @param {string} error  What is wrong with the one before; empty where there was none. */
  askForToken(error) {
    const field = this.#part("token");
    this.#part("token-form").hidden = false;
    this.#part("token-error").textContent = error;
    field.setAttribute("aria-invalid", String(error !== ""));
    field.value = "";
    // Who reads further down is not moved; who has just given a token gives the next one.
    if (error !== "" || document.activeElement === document.body) field.focus();
  }

  /** @param {string} session  Of which the server could not give all events after a break. */
  tellMissed(session) {
    this.#missedIn = session;
  }

  #connection({ connection, own }) {
    this.#part("connection").dataset.state = connection.phase;
    this.#part("connection-text").textContent = connectionWords(connection);
    const retryable = own === null ? RETRYABLE.has(connection.phase) : connection.phase === "reconnecting";
    this.#part("retry").hidden = !retryable;
  }

  #stream({ streams, stream, own }) {
    const chosen = streams.find(({ name }) => name === stream);
    const shown = own ?? chosen;
    this.#title = shown?.title ?? "";
    this.#part("stream-title").textContent = shown?.title ?? stream ?? "No stream yet";
    this.#part("stream-note").textContent = shown?.note ?? "";
    this.#part("stream-note").hidden = !shown?.note;
    this.#part("stream-choice").hidden = streams.length < 2;
    const select = this.#part("stream-select");
    select.replaceChildren(...streams.map(({ name, title }) => element("option", { value: name }, [title])));
    if (chosen) select.value = chosen.name;
  }

  #models(models) {
    this.#part("models").hidden = models === null;
    if (models === null) return;
    const rows = [
      ["Finds speech", models.vad],
      ["Writes the words", models.asr ?? "none: sound alone"],
      ["Judges the emotion", models.emotion],
      ["Runs on", models.device],
    ];
    const entries = rows.flatMap(([name, value]) => [element("dt", {}, [name]), element("dd", {}, [value])]);
    this.#part("models-list").replaceChildren(...entries);
  }

  #legend(labels) {
    const entries = labels.map((label) => element("li", { "data-label": label }, [icon(label), title(label)]));
    this.#part("legend").replaceChildren(...entries);
  }

  /** Newest first: a reader at the top needs no scrolling, and one further down is not moved. */
  #items(items, labels) {
    const list = this.#part("utterances");
    const rows = new Map();
    for (const item of items) {
      const known = this.#rows.get(item.key);
      rows.set(item.key, known?.item === item ? known : { item, row: makeRow(item, labels) });
    }
    for (const [key, { row }] of this.#rows) if (rows.get(key)?.row !== row) row.remove();
    this.#rows = rows;
    let next = null;
    for (const { row } of rows.values()) {
      if (row.nextElementSibling !== next || row.parentElement !== list) list.insertBefore(row, next);
      next = row;
    }
  }

  /** Reads out what the page saw being spoken: not the past that a server gives a newcomer. */
  #announce(before, { items }) {
    if (items === before.items) return;
    const spoken = new Set(before.items.filter((item) => !isFinished(item)).map(({ key }) => key));
    const finals = items.filter((item) => item.kind === "judged" && isFinished(item) && spoken.has(item.key));
    if (finals.length > 0) this.#part("announcer").textContent = announcement(finals.at(-1).emotion);
  }
}

/** @param {import("./state.js").Item} item */
function makeRow(item, labels) {
  switch (item.kind) {
    case "speaking":
      return element("li", {}, [speakingCard(item)]);
    case "judged":
      return element("li", {}, [judgedCard(item, labels)]);
    case "notice":
      return element("li", { class: "notice", "data-tone": item.tone }, [noticeWords(item)]);
    case "divider":
      return element("li", { class: "divider" }, ["A new session began"]);
  }
}
