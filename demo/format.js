/** Values as people read them. */

const REASONS = {
  too_short: "Very short",
  low_snr: "Noisy sound",
  no_text: "No words understood",
  modalities_disagree: "Sound and words disagree",
  low_confidence: "Not sure",
};

const ENDINGS = {
  silence: "ended by a pause",
  max_length: "cut at the longest length",
  end_of_stream: "ended with the stream",
  flush: "ended on request",
  speaking: "still speaking",
};

const CLOSINGS = {
  end_of_stream: "The stream has ended",
  shutting_down: "The server is shutting down",
  error: "The stream ended with an error",
};

/**
 * @param {number} ms  On the stream's clock.
 * @returns {string} mm:ss.s, with hours in front where there are any.
 */
export function clock(ms) {
  const tenths = Math.max(0, Math.round(ms / 100));
  const seconds = `${pad(Math.floor(tenths / 10) % 60)}.${tenths % 10}`;
  const minutes = Math.floor(tenths / 600);
  if (minutes < 60) return `${pad(minutes)}:${seconds}`;
  return `${Math.floor(minutes / 60)}:${pad(minutes % 60)}:${seconds}`;
}

/** @param {number} ms  As `clock`, without tenths. @returns {string} */
export const wholeClock = (ms) => clock(ms).replace(/\.\d$/, "");

/** @param {number} p  A probability. @returns {string} */
export function percent(p) {
  return `${Math.round(100 * Math.min(1, Math.max(0, p)))} %`;
}

/** @param {number} ms  A length of time. @returns {string} */
export function duration(ms) {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

/** @param {string} word @returns {string} With a capital, and blanks for underscores. */
export function title(word) {
  const plain = word.replaceAll("_", " ");
  return plain.charAt(0).toUpperCase() + plain.slice(1);
}

/** @param {string} reason @returns {string} Why a judgement is uncertain. */
export const uncertainty = (reason) => lookup(REASONS, reason);

/** @param {string} reason @returns {string} What ended an utterance. */
export const ending = (reason) => lookup(ENDINGS, reason).toLowerCase();

/** @param {string} reason @returns {string} Why a stream is over. */
export const closing = (reason) => lookup(CLOSINGS, reason);

/**
 * @param {import("./state.js").State["connection"]} connection
 * @returns {string}
 */
export function connectionWords({ phase, delayMs, why }) {
  const because = why ? `: ${why}` : "";
  switch (phase) {
    case "looking":
      return "Looking for a stream";
    case "waiting":
      return "Connected, no stream yet";
    case "connecting":
      return "Connecting";
    case "live":
      return "Live";
    case "reconnecting":
      return `Reconnecting in ${duration(delayMs ?? 0)}${because}`;
    case "ended":
      return `Ended${because}`;
    case "stopped":
      return "Stopped";
    case "stopping":
      return "Stopping: the last words are judged";
    case "refused":
      return `Refused${because}`;
    default:
      return title(phase);
  }
}

/** @param {import("./state.js").Notice} notice @returns {string} */
export function noticeWords({ event }) {
  switch (event.type) {
    case "dropped":
      return `${duration(event.ms)} of sound was not analysed${event.why ? `: ${event.why.replaceAll("_", " ")}` : ""}`;
    case "error":
      return `${event.fatal ? "The stream broke" : "An error"}${event.code ? ` (${event.code})` : ""}: ${event.message}`;
    case "closed":
      return `${closing(event.reason)}.${event.totals ? ` ${totalsWords(event.totals)}` : ""}`;
    case "resumed":
      return "The connection was broken and is back: nothing is lost.";
    case "lost":
      return `The server lost this session${event.ms > 0 ? `, and up to ${duration(event.ms)} of sound with it` : ""}. A new one goes on.`;
    default:
      return "";
  }
}

function totalsWords({ audioMs, utterances, droppedMs }) {
  const lost = droppedMs > 0 ? `, ${duration(droppedMs)} dropped` : "";
  return `${utterances} ${utterances === 1 ? "utterance" : "utterances"} in ${clock(audioMs)} of sound${lost}.`;
}

/** A label and how sure it is, for a screen reader. */
export function announcement({ label, confidence, text }) {
  return `${title(label)}, ${percent(confidence)}${text ? `: ${text}` : ""}`;
}

const lookup = (table, key) => (Object.hasOwn(table, key) ? table[key] : title(key));
const pad = (value) => String(value).padStart(2, "0");
