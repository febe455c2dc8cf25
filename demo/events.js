/**
 * The server's messages (protocol 1), validated: a message of an unknown type, or without a field that the page
 * needs, is read as `null`; unknown fields are left out.
 *
 * @typedef {{vad: string, asr: string | null, asrSource: string | null, emotion: string, device: string}} Models
 * @typedef {Record<string, number>} Scores  Probability per label.
 * @typedef {{endpoint: number, lead: number, queue: number, asr: number, align: number, emotion: number, total: number}}
 *   Timing  Milliseconds.
 *
 * @typedef {{type: "ready", session: string, resumed: boolean, clockMs: number, labels: string[], models: Models}} Ready
 * @typedef {{type: "waveform", fromMs: number, stepMs: number, values: Uint8Array}} Waveform
 * @typedef {{type: "speech_started", seq: number | null, utterance: number, startMs: number}} SpeechStarted
 * @typedef {{type: "emotion", seq: number | null, utterance: number, final: boolean, startMs: number,
 *   endMs: number, reason: string, label: string, confidence: number, reliable: boolean, uncertain: string[],
 *   baselineUtterances: number | null,
 *   probabilities: Scores, audioOnly: Scores | null, textOnly: Scores | null, text: string,
 *   stableChars: number, language: string | null, timing: Timing | null}} Emotion
 * @typedef {{type: "no_emotion", seq: number | null, utterance: number, startMs: number, endMs: number,
 *   reason: string, speech: number}} NoEmotion
 * @typedef {{type: "dropped", seq: number | null, ms: number, reason: string, atMs: number | null}} Dropped
 * @typedef {{type: "error", seq: number | null, code: string, message: string, fatal: boolean,
 *   utterance: number | null, retryAfterMs: number | null}} ErrorEvent
 * @typedef {{type: "closed", seq: number | null, reason: string,
 *   totals: {audioMs: number, utterances: number, droppedMs: number} | null,
 *   speaker: import("./client.d.ts").EnrolledVoice | null}} Closed
 * @typedef {Ready | Waveform | SpeechStarted | Emotion | NoEmotion | Dropped | ErrorEvent | Closed} ServerEvent
 */

/**
 * @param {unknown} data  A websocket message.
 * @returns {unknown} null if it is not JSON.
 */
export function parseMessage(data) {
  if (typeof data !== "string") return null;
  try {
    return JSON.parse(data);
  } catch {
    return null;
  }
}

/**
 * @param {unknown} message  Parsed JSON.
 * @returns {ServerEvent | null}
 */
export function readEvent(message) {
  if (!isObject(message) || typeof message.type !== "string") return null;
  return Object.hasOwn(READERS, message.type) ? READERS[message.type](message) : null;
}

const READERS = {
  ready,
  waveform,
  speech_started: speechStarted,
  emotion,
  no_emotion: noEmotion,
  dropped,
  error,
  closed,
};

function ready(m) {
  if (typeof m.session !== "string") return null;
  const models = isObject(m.models) ? m.models : {};
  return {
    type: "ready",
    session: m.session,
    resumed: m.resumed === true,
    clockMs: number(m.clock_ms),
    labels: strings(m.labels),
    models: {
      vad: text(models.vad) || "unknown",
      asr: text(models.asr) || null,
      asrSource: text(models.asr_source) || null,
      emotion: text(models.emotion) || "unknown",
      device: text(models.device) || "unknown",
    },
  };
}

/** Null where its peaks are not base64. */
function waveform(m) {
  try {
    const values = Uint8Array.from(atob(text(m.peaks)), (letter) => letter.charCodeAt(0));
    return { type: "waveform", fromMs: number(m.from_ms), stepMs: number(m.step_ms), values };
  } catch {
    return null;
  }
}

function speechStarted(m) {
  if (!Number.isInteger(m.utterance)) return null;
  return {
    type: "speech_started",
    seq: sequence(m),
    utterance: m.utterance,
    channel: Number.isInteger(m.channel) ? m.channel : null,
    startMs: number(m.start_ms),
  };
}

function emotion(m) {
  const probabilities = scores(m.probabilities);
  if (!Number.isInteger(m.utterance) || typeof m.label !== "string" || probabilities === null) return null;
  return {
    type: "emotion",
    seq: sequence(m),
    utterance: m.utterance,
    channel: Number.isInteger(m.channel) ? m.channel : null,
    final: m.final === true,
    startMs: number(m.start_ms),
    endMs: number(m.end_ms),
    reason: text(m.reason),
    label: m.label,
    confidence: number(m.confidence),
    reliable: m.reliable !== false,
    uncertain: strings(m.uncertain),
    baselineUtterances: Number.isInteger(m.baseline_utterances) ? m.baseline_utterances : null,
    probabilities,
    audioOnly: scores(m.audio_only),
    textOnly: scores(m.text_only),
    text: text(m.text),
    stableChars: m.final === true ? text(m.text).length : stableUnits(text(m.text), m.stable_chars),
    language: text(m.language) || null,
    timing: timing(m.timing),
  };
}

function noEmotion(m) {
  if (!Number.isInteger(m.utterance)) return null;
  return {
    type: "no_emotion",
    seq: sequence(m),
    utterance: m.utterance,
    channel: Number.isInteger(m.channel) ? m.channel : null,
    startMs: number(m.start_ms),
    endMs: number(m.end_ms),
    reason: text(m.reason),
    speech: number(m.speech),
  };
}

function dropped(m) {
  const atMs = Number.isFinite(m.at_ms) ? m.at_ms : null;
  return { type: "dropped", seq: sequence(m), ms: number(m.ms), reason: text(m.reason), atMs };
}

function error(m) {
  return {
    type: "error",
    seq: sequence(m),
    code: text(m.code),
    message: text(m.message),
    fatal: m.fatal === true,
    utterance: Number.isInteger(m.utterance) ? m.utterance : null,
    retryAfterMs: Number.isFinite(m.retry_after_ms) ? m.retry_after_ms : null,
  };
}

function closed(m) {
  const t = m.totals;
  const totals = isObject(t)
    ? { audioMs: number(t.audio_ms), utterances: number(t.utterances), droppedMs: number(t.dropped_ms) }
    : null;
  const speaker = isObject(m.speaker) ? m.speaker : null;
  return { type: "closed", seq: sequence(m), reason: text(m.reason), totals, speaker };
}

function timing(t) {
  if (!isObject(t)) return null;
  return {
    endpoint: number(t.endpoint_ms),
    lead: number(t.lead_ms),
    queue: number(t.queue_ms),
    asr: number(t.asr_ms),
    align: number(t.align_ms),
    emotion: number(t.emotion_ms),
    total: number(t.total_ms),
  };
}

/** Label to probability; null if it is not an object. Values that are not numbers are left out. */
function scores(value) {
  if (!isObject(value)) return null;
  return Object.fromEntries(Object.entries(value).filter(([, p]) => Number.isFinite(p)));
}

/** The server counts code points, JavaScript's strings UTF-16 units. */
function stableUnits(words, codePoints) {
  if (!Number.isInteger(codePoints) || codePoints <= 0) return 0;
  return [...words].slice(0, codePoints).join("").length;
}

const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
const text = (value) => (typeof value === "string" ? value : "");
const number = (value) => (Number.isFinite(value) ? value : 0);
const strings = (value) => (Array.isArray(value) ? value.filter((item) => typeof item === "string") : []);
const sequence = (m) => (Number.isInteger(m.seq) ? m.seq : null);
