/**
 * What the page knows, as a pure function of what was reported: `reduce(state, report) -> state`.
 *
 * After a reconnect a server repeats its last events. Nothing appears twice, because events are known by
 * session and `seq`, and items by session and utterance.
 *
 * @typedef {import("./events.js").Emotion} Emotion
 * @typedef {import("./events.js").Models} Models
 * @typedef {import("./protocol.js").Report} Report
 * @typedef {import("./protocol.js").Stream} Stream
 *
 * @typedef {{kind: "speaking", key: string, utterance: number, startMs: number}} Speaking
 * @typedef {{kind: "judged", key: string, utterance: number, startMs: number, emotion: Emotion}} Judged
 * @typedef {{kind: "notice", key: string, tone: "dropped" | "error" | "closed" | "resumed" | "lost",
 *   event: import("./events.js").ServerEvent | {type: "resumed"} | {type: "lost", ms: number}}} Notice
 * @typedef {{kind: "divider", key: string}} Divider
 * @typedef {Speaking | Judged | Notice | Divider} Item
 *
 * @typedef {object} State
 * @property {{phase: import("./protocol.js").Phase, delayMs: number | null, why: string}} connection
 * @property {Stream[]} streams
 * @property {string | null} stream  The name of the one that is shown.
 * @property {import("./own.js").OwnSource | null} own  Where it is the page's own sound that is shown.
 * @property {string | null} session
 * @property {number} lastSeq  Of the session.
 * @property {string[]} labels
 * @property {Models | null} models
 * @property {number} told  How many notices there were.
 * @property {Item[]} items  Oldest first, at most KEPT.
 */

export const KEPT = 200;

/** @type {State} */
export const INITIAL = Object.freeze({
  connection: { phase: "looking", delayMs: null, why: "" },
  streams: [],
  stream: null,
  own: null,
  session: null,
  lastSeq: 0,
  labels: ["angry", "happy", "sad", "neutral"],
  models: null,
  told: 0,
  items: [],
});

/**
 * @param {State} state
 * @param {Report} report
 * @returns {State}
 */
export function reduce(state, report) {
  switch (report.kind) {
    case "streams":
      return sameStreams(state.streams, report.streams) ? state : { ...state, streams: report.streams };
    case "phase":
      return onPhase(state, report);
    case "event":
      return onEvent(state, report.event);
    case "lost":
      return onNotice(state, { type: "lost", seq: null, ms: report.ms });
    default:
      return state;
  }
}

/** Another stream is another story: its list begins empty. */
function onPhase(state, { phase, stream, delayMs, why, own = null }) {
  const shown = stream ?? state.stream;
  const kept = shown === state.stream || state.stream === null ? state : { ...INITIAL, streams: state.streams };
  return { ...kept, stream: shown, own, connection: { phase, delayMs, why } };
}

function onEvent(state, event) {
  if (event.type === "ready") return onReady(state, event);
  if (event.seq !== null) {
    if (event.seq <= state.lastSeq) return state;
    state = { ...state, lastSeq: event.seq };
  }
  switch (event.type) {
    case "speech_started":
      return onSpeech(state, event);
    case "emotion":
      return onEmotion(state, event);
    case "dropped":
    case "error":
    case "closed":
      return onNotice(state, event);
    default:
      return state;
  }
}

function onReady(state, { session, resumed, labels, models }) {
  const known = { ...state, models, labels: labels.length > 0 ? labels : state.labels };
  if (session === state.session) {
    return resumed ? onNotice(known, { type: "resumed", seq: null }) : known;
  }
  const finished = state.items.filter(isFinished);
  const items = finished.length > 0 ? [...finished, { kind: "divider", key: `${session}/start` }] : [];
  return { ...known, session, lastSeq: 0, items: bounded(items) };
}

function onSpeech(state, { utterance, startMs }) {
  const key = `${state.session}/${utterance}`;
  if (state.items.some((item) => item.key === key)) return state;
  // Earlier ones may still be with the models: a recording is sent faster than it is judged.
  return { ...state, items: bounded([...state.items, { kind: "speaking", key, utterance, startMs }]) };
}

function onEmotion(state, emotion) {
  const key = `${state.session}/${emotion.utterance}`;
  const judged = { kind: "judged", key, utterance: emotion.utterance, startMs: emotion.startMs, emotion };
  const before = state.items.find((item) => item.key === key);
  if (before && isFinished(before)) return state; // a final is never changed
  const items = before
    ? state.items.map((item) => (item === before ? judged : item))
    : bounded([...state.items, judged]);
  // Finals come in order: whatever is unfinished before one will not be finished.
  return { ...state, items: emotion.final ? withoutUnfinished(items, emotion.utterance) : items };
}

function onNotice(state, event) {
  const last = state.items.at(-1);
  if (event.type === "resumed" && last?.tone === "resumed") return state; // once is enough
  const key = `${state.session}/#${event.seq ?? `n${state.told}`}`;
  if (state.items.some((item) => item.key === key)) return state;
  const items = state.items.filter((item) => isFinished(item) || !ends(event, item.utterance));
  const told = { kind: "notice", key, tone: event.type, event };
  return { ...state, told: state.told + 1, items: bounded([...items, told]) };
}

/** Whether an unfinished utterance will not be finished behind this event. */
function ends(event, utterance) {
  return event.type === "closed" || (event.type === "error" && event.utterance === utterance);
}

/** Without the unfinished utterances numbered below `utterance`. */
function withoutUnfinished(items, utterance) {
  return items.filter((item) => isFinished(item) || item.utterance >= utterance);
}

/** @param {Item} item */
export function isFinished(item) {
  return item.kind === "judged" ? item.emotion.final : item.kind !== "speaking";
}

/** A list that is asked for again and again is one list, or an open menu would close each time. */
function sameStreams(before, after) {
  return JSON.stringify(before) === JSON.stringify(after);
}

const bounded = (items) => (items.length > KEPT ? items.slice(-KEPT) : items);
