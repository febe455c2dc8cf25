/**
 * A session as files: the finals as CSV and WebVTT, as `emostream replay` writes them, and a picture, all on the
 * page's clock; and every event as JSON lines, as the server sent it.
 *
 * @typedef {import("./session_log.js").SessionLog} SessionLog
 */
import { drawIcon, drawTimeline, drawTrace } from "./canvas.js";
import { clock, counted, duration, percent } from "./format.js";

const COLUMN_GROUPS = [
  ["p", "probabilities"],
  ["audio", "audioOnly"],
  ["text", "textOnly"],
];

/** @param {SessionLog} log */
export function toJsonLines(log) {
  return log.lines.map((line) => `${line}\n`).join("");
}

/**
 * @param {SessionLog} log
 * @param {string} file  The value of the column `file`.
 */
export function toCsv({ finals, labels }, file) {
  const head = ["file", "utterance", "channel", "start_s", "end_s", "reason", "label", "confidence"];
  head.push("reliable", "uncertain", "baseline_utterances");
  const columns = COLUMN_GROUPS.flatMap(([name]) => labels.map((label) => `${name}_${label}`));
  const rows = finals.map((utterance) => [
    safeCell(file),
    utterance.utterance,
    utterance.channel ?? "",
    utterance.startMs / 1_000,
    utterance.endMs / 1_000,
    utterance.reason,
    utterance.label,
    utterance.confidence,
    utterance.reliable,
    utterance.uncertain.join(";"),
    utterance.baselineUtterances ?? "",
    ...COLUMN_GROUPS.flatMap(([, view]) => labels.map((label) => utterance[view]?.[label] ?? "")),
    utterance.language ?? "",
    safeCell(utterance.text),
  ]);
  return [[...head, ...columns, "language", "text"], ...rows]
    .map((row) => `${row.map(quoted).join(",")}\n`)
    .join("");
}

/** A text that a spreadsheet would take for a formula gets a quote in front, as `safe_cell` of csv_cells.py. */
function safeCell(text) {
  return /^'*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]/.test(text) ? `'${text}` : text;
}

/** According to RFC 4180. */
function quoted(value) {
  const text = String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** @param {SessionLog} log */
export function toWebVtt({ finals }) {
  const cues = finals.map((utterance, i) => {
    const text = escaped(utterance.text.split(/\s+/).join(" ").trim());
    const emotion = `<c.${utterance.label}>[${utterance.label} ${Math.round(100 * utterance.confidence)}%]</c>`;
    return `${i + 1}\n${cueTime(utterance.startMs)} --> ${cueTime(utterance.endMs)}\n${`${emotion} ${text}`.trim()}\n\n`;
  });
  return `WEBVTT\n\n${cues.join("")}`;
}

const escaped = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

function cueTime(ms) {
  const whole = Math.round(ms);
  const pad = (value, length = 2) => String(value).padStart(length, "0");
  const minutes = Math.floor(whole / 60_000);
  const seconds = Math.floor(whole / 1_000) % 60;
  return `${pad(Math.floor(minutes / 60))}:${pad(minutes % 60)}:${pad(seconds)}.${pad(whole % 1_000, 3)}`;
}

/**
 * The whole session in one picture, 1600 by 900.
 *
 * @param {SessionLog} log
 * @param {import("./audio_buffer.js").AudioRingBuffer | null} audio
 * @param {string} title
 * @param {import("./canvas.js").Theme} theme
 * @returns {Promise<Blob>} PNG.
 */
export function toPng(log, audio, title, theme, now) {
  const canvas = Object.assign(document.createElement("canvas"), { width: 1_600, height: 900 });
  const pen = canvas.getContext("2d");
  const large = { ...theme, size: 18 };
  const toMs = Math.max(1_000, log.liveEdgeMs(now), log.finals.at(-1)?.endMs ?? 0);
  pen.fillStyle = theme.paper;
  pen.fillRect(0, 0, 1_600, 900);
  pen.fillStyle = theme.ink;
  pen.font = `650 34px ${theme.sans}`;
  pen.fillText(title, 50, 70, 1_500);
  pen.fillStyle = theme.soft;
  pen.font = `20px ${theme.sans}`;
  const count = log.finals.length;
  const first = log.finals[0]?.startMs ?? 0;
  const range = log.removed > 0 ? ` (the last ones, from ${clock(first)})` : "";
  pen.fillText(`${clock(toMs)} of audio, ${counted(count)}${range}`, 50, 106, 1_500);
  drawShares(pen, { x: 50, y: 135, width: 1_500, height: 70 }, log, large);
  const fromMs = log.removed > 0 ? first : 0;
  const liveEdgeMs = toMs + 1;
  const scene = { log, audio, fromMs, toMs, liveEdgeMs, selected: null, playbackMs: null };
  drawTimeline(pen, { x: 50, y: 235, width: 1_500, height: 300 }, scene, large);
  drawTrace(pen, { x: 50, y: 560, width: 1_500, height: 300 }, { log, fromMs, toMs }, large);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}

function drawShares(pen, box, log, theme) {
  let x = box.x;
  for (const { label, share, ms } of log.shares()) {
    const width = share * box.width;
    pen.fillStyle = theme.hue(label);
    pen.fillRect(x, box.y, Math.max(0, width - 2), 20);
    if (width > 150) {
      drawIcon(pen, label, x, box.y + 30, 28, theme);
      pen.fillStyle = theme.ink;
      pen.font = `18px ${theme.sans}`;
      pen.textBaseline = "alphabetic";
      pen.fillText(`${label} ${percent(share)}, ${duration(ms)}`, x + 36, box.y + 51, width - 40);
    }
    x += width;
  }
}

/** Save it under this name as a download. */
export function download(name, blob) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
