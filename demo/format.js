/** Values and events as text for people. */

const UNCERTAINTIES = {
  too_short: "Very short",
  low_snr: "Noisy audio",
  no_text: "No words recognized",
  unsupported_language: "Words in another language: audio only",
  modalities_disagree: "Audio and text disagree",
  low_confidence: "Low confidence",
  unlike_training: "Unlike any training audio",
  unknown_voice: "Voice not known yet",
  doubtful_speech: "Perhaps no speech",
};

const NO_EMOTION = {
  no_speech: "No speech",
  misread_samples: "Misread audio: check the encoding",
};

const ENDINGS = {
  silence: "ended by a pause",
  max_length: "cut at the maximum length",
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
 * @returns {string} mm:ss.s, preceded by hours if there are any.
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

/** @returns {string} When an utterance was. */
export const span = (startMs, endMs) => `${clock(startMs)} – ${clock(endMs)}`;

/** @param {number} p  A probability. @returns {string} */
export function percent(p) {
  return `${Math.round(100 * Math.min(1, Math.max(0, p)))} %`;
}

/** @param {number} ms  A duration. @returns {string} */
export function duration(ms) {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

/** @param {string} word @returns {string} With a capital, and spaces for underscores. */
export function title(word) {
  const plain = word.replaceAll("_", " ");
  return plain.charAt(0).toUpperCase() + plain.slice(1);
}

/** @param {string} reason @returns {string} Why a result is uncertain. */
export const uncertainty = (reason) => lookup(UNCERTAINTIES, reason);

/** @param {string} reason @returns {string} Why an utterance gets no emotion. */
export const noEmotion = (reason) => lookup(NO_EMOTION, reason);
/** @param {number} utterances  Behind the speaker's baseline. @returns {string} */
export function history(utterances) {
  if (utterances === 0) return "first utterance of this voice";
  return `judged against ${utterances} earlier ${utterances === 1 ? "utterance" : "utterances"} of this voice`;
}

/**
 * @param {number | null} utterances  Behind the speaker's baseline; null: there is none.
 * @returns {string | null} From how much the voice is known.
 */
export function knownFrom(utterances) {
  if (utterances === null) return null;
  if (utterances === 0) return "not yet";
  return counted(utterances);
}

/** @param {number} utterances @returns {string} */
export const counted = (utterances) => `${utterances} ${utterances === 1 ? "utterance" : "utterances"}`;

/** @param {import("./session_log.js").Percentiles} delay @returns {string} */
export const usualDelay = ({ p50, p95 }) => `${duration(p50)}, 19 of 20 within ${duration(p95)}`;

/** @param {string} reason @returns {string} What ended an utterance. */
export const ending = (reason) => lookup(ENDINGS, reason).toLowerCase();

/** @param {string} reason @returns {string} Why a stream has ended. */
export const closing = (reason) => lookup(CLOSINGS, reason);

/**
 * @param {import("./store.js").State["connection"]} connection
 * @returns {string}
 */
export function connectionText({ phase, delayMs, message }) {
  const detail = message ? `: ${message}` : "";
  switch (phase) {
    case "listing":
      return "Looking for a stream";
    case "waiting":
      return "Connected, no stream yet";
    case "connecting":
      return "Connecting";
    case "live":
      return `Live${detail}`;
    case "reconnecting":
      return `Reconnecting in ${duration(delayMs ?? 0)}${detail}`;
    case "ended":
      return `Ended${detail}`;
    case "stopped":
      return "Stopped";
    case "stopping":
      return "Stopping: waiting for the last results";
    case "refused":
      return `Refused${detail}`;
    default:
      return title(phase);
  }
}

/** @param {import("./store.js").Notice} notice @returns {string} */
export function noticeText({ event }) {
  switch (event.type) {
    case "dropped":
      return `${duration(event.ms)} of audio was not analyzed${event.reason ? `: ${event.reason.replaceAll("_", " ")}` : ""}`;
    case "error":
      return `${event.fatal ? "The stream failed" : "Error"}${event.code ? ` (${event.code})` : ""}: ${event.message}`;
    case "closed":
      return `${closing(event.reason)}.${event.totals ? ` ${totalsText(event.totals)}` : ""}`;
    case "resumed":
      return "The connection broke and was resumed: nothing is lost.";
    case "session_lost":
      return `The server lost this session${event.ms > 0 ? `, and up to ${duration(event.ms)} of audio with it` : ""}. A new one continues.`;
    default:
      return "";
  }
}

function totalsText({ audioMs, utterances, droppedMs }) {
  const dropped = droppedMs > 0 ? `, ${duration(droppedMs)} dropped` : "";
  return `${utterances} ${utterances === 1 ? "utterance" : "utterances"} in ${clock(audioMs)} of audio${dropped}.`;
}

/** A label with its confidence and its text, for a screen reader. */
export function announcement({ label, confidence, reliable, text }) {
  const doubt = reliable ? "" : "Uncertain: ";
  return `${doubt}${title(label)}, ${percent(confidence)}${text ? `: ${text}` : ""}`;
}

const lookup = (table, key) => (Object.hasOwn(table, key) ? table[key] : title(key));
const pad = (value) => String(value).padStart(2, "0");
