/**
 * The page's state as a pure function of what was reported: `reduce(state, report) -> state`.
 *
 * After a reconnect a server repeats its last events. Nothing appears twice, because events are identified by
 * session and `seq`, and items by session and utterance.
 *
 * @typedef {import("./events.js").Emotion} Emotion
 * @typedef {import("./events.js").Models} Models
 * @typedef {import("./stream_subscriber.js").Report} Report
 * @typedef {import("./stream_subscriber.js").Stream} Stream
 *
 * @typedef {{kind: "speaking", key: string, utterance: number, startMs: number}} Speaking
 * @typedef {{kind: "result", key: string, utterance: number, startMs: number, emotion: Emotion}} Result
 * @typedef {{kind: "no_emotion", key: string, utterance: number, startMs: number,
 *   event: import("./events.js").NoEmotion}} WithoutEmotion
 * @typedef {{kind: "notice", key: string, tone: "dropped" | "error" | "closed" | "resumed" | "session_lost",
 *   event: import("./events.js").ServerEvent | {type: "resumed"} | {type: "session_lost", ms: number}}} Notice
 * @typedef {{kind: "divider", key: string}} Divider
 * @typedef {Speaking | Result | WithoutEmotion | Notice | Divider} Item
 *
 * @typedef {object} State
 * @property {{phase: import("./stream_subscriber.js").Phase, delayMs: number | null, message: string}} connection
 * @property {Stream[]} streams
 * @property {string | null} stream  The name of the one that is shown.
 * @property {import("./local_session.js").LocalSource | null} local  If a session of the page itself is shown.
 * @property {string | null} session
 * @property {number} lastSeq  Of the session.
 * @property {boolean} complete  Whether the session has ended as it should.
 * @property {string[]} labels
 * @property {Models | null} models
 * @property {number} noticeCount
 * @property {Item[]} items  Oldest first, at most MAX_ITEMS.
 */

export const MAX_ITEMS = 200;

/** @type {State} */
export const INITIAL = Object.freeze({
  connection: { phase: "listing", delayMs: null, message: "" },
  streams: [],
  stream: null,
  local: null,
  session: null,
  lastSeq: 0,
  complete: false,
  labels: ["angry", "happy", "sad", "neutral"],
  models: null,
  noticeCount: 0,
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
    case "session_lost":
      return addNotice(state, { type: "session_lost", seq: null, ms: report.ms });
    default:
      return state;
  }
}

/** Another stream starts with an empty list. */
function onPhase(state, { phase, stream, delayMs, message, local = null }) {
  const shown = stream ?? state.stream;
  const kept = shown === state.stream || state.stream === null ? state : { ...INITIAL, streams: state.streams };
  return { ...kept, stream: shown, local, connection: { phase, delayMs, message } };
}

function onEvent(state, event) {
  if (event.type === "ready") return onReady(state, event);
  if (event.seq !== null) {
    if (event.seq <= state.lastSeq) return state;
    state = { ...state, lastSeq: event.seq };
  }
  switch (event.type) {
    case "speech_started":
      return onSpeechStarted(state, event);
    case "emotion":
      return onResult(state, { kind: "result", startMs: event.startMs, emotion: event }, event);
    case "no_emotion":
      return onResult(state, { kind: "no_emotion", startMs: event.startMs, event }, event);
    case "closed":
      return addNotice({ ...state, complete: event.reason === "end_of_stream" }, event);
    case "dropped":
    case "error":
      return addNotice(state, event);
    default:
      return state;
  }
}

function onReady(state, { session, resumed, labels, models }) {
  const updated = { ...state, models, labels: labels.length > 0 ? labels : state.labels };
  if (session === state.session) {
    return resumed ? addNotice(updated, { type: "resumed", seq: null }) : updated;
  }
  const finished = state.complete ? [] : state.items.filter(isFinished);
  const items = finished.length > 0 ? [...finished, { kind: "divider", key: `${session}/start` }] : [];
  return { ...updated, session, lastSeq: 0, complete: false, items: bounded(items) };
}

/**
 * @param {State} state
 * @param {import("./events.js").ServerEvent} event
 * @returns {boolean} Whether nothing of what is shown belongs to the session that begins: the stream's last one
 *   was over, and was not broken off by a restart.
 */
export function beginsAfresh({ complete, session }, event) {
  return complete && event.type === "ready" && event.session !== session;
}

function onSpeechStarted(state, { utterance, startMs }) {
  const key = `${state.session}/${utterance}`;
  if (state.items.some((item) => item.key === key)) return state;
  // Earlier ones may still wait for the models: a recording is sent faster than it is classified.
  return { ...state, items: bounded([...state.items, { kind: "speaking", key, utterance, startMs }]) };
}

/** parts: the item without its key and number. */
function onResult(state, parts, { utterance }) {
  const key = `${state.session}/${utterance}`;
  const result = { ...parts, key, utterance };
  const before = state.items.find((item) => item.key === key);
  if (before && isFinished(before)) return state; // a final is never changed
  const items = before
    ? state.items.map((item) => (item === before ? result : item))
    : bounded([...state.items, result]);
  // Finals arrive in order: whatever is unfinished before one will not be finished.
  return { ...state, items: isFinished(result) ? withoutUnfinished(items, utterance) : items };
}

function addNotice(state, event) {
  const last = state.items.at(-1);
  if (event.type === "resumed" && last?.tone === "resumed") return state; // once is enough
  const key = `${state.session}/#${event.seq ?? `n${state.noticeCount}`}`;
  if (state.items.some((item) => item.key === key)) return state;
  const items = state.items.filter((item) => isFinished(item) || !ends(event, item.utterance));
  const notice = { kind: "notice", key, tone: event.type, event };
  return { ...state, noticeCount: state.noticeCount + 1, items: bounded([...items, notice]) };
}

/** Whether an unfinished utterance will not be finished after this event. */
function ends(event, utterance) {
  return event.type === "closed" || (event.type === "error" && event.utterance === utterance);
}

/** Without the unfinished utterances numbered below `utterance`. */
function withoutUnfinished(items, utterance) {
  return items.filter((item) => isFinished(item) || item.utterance >= utterance);
}

/** @param {Item} item */
export function isFinished(item) {
  return item.kind === "result" ? item.emotion.final : item.kind !== "speaking";
}

/** The list is fetched again and again: an unchanged one keeps its identity, or an open menu would close. */
function sameStreams(before, after) {
  return JSON.stringify(before) === JSON.stringify(after);
}

const bounded = (items) => (items.length > MAX_ITEMS ? items.slice(-MAX_ITEMS) : items);
