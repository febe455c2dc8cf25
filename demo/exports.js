/**
 * A session as files: the finals in the columns and cues that `emostream replay` writes and a picture, on the
 * page's clock; and every event as JSON lines, as the server said it.
 *
 * @typedef {import("./journal.js").Journal} Journal
 */
import { drawIcon, drawTimeline, drawTrace } from "./drawing.js";
import { clock, duration, percent } from "./format.js";

const VIEWS = [
  ["p", "probabilities"],
  ["audio", "audioOnly"],
  ["text", "textOnly"],
];

/** @param {Journal} journal */
export function toJsonLines(journal) {
  return journal.lines.map((line) => `${line}\n`).join("");
}

/**
 * @param {Journal} journal
 * @param {string} file  What stands in the column `file`.
 */
export function toCsv({ finals, labels }, file) {
  const head = ["file", "utterance", "start_s", "end_s", "reason", "label", "confidence", "uncertain"];
  const columns = VIEWS.flatMap(([name]) => labels.map((label) => `${name}_${label}`));
  const rows = finals.map((one) => [
    file,
    one.utterance,
    one.startMs / 1_000,
    one.endMs / 1_000,
    one.reason,
    one.label,
    one.confidence,
    one.uncertain.join(";"),
    ...VIEWS.flatMap(([, view]) => labels.map((label) => one[view]?.[label] ?? "")),
    one.language ?? "",
    one.text,
  ]);
  return [[...head, ...columns, "language", "text"], ...rows]
    .map((row) => `${row.map(quoted).join(",")}\n`)
    .join("");
}

/** As RFC 4180 wants it. */
function quoted(value) {
  const text = String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** @param {Journal} journal */
export function toWebVtt({ finals }) {
  const cues = finals.map((one, i) => {
    const text = escaped(one.text.split(/\s+/).join(" ").trim());
    const emotion = `<c.${one.label}>[${one.label} ${Math.round(100 * one.confidence)}%]</c>`;
    return `${i + 1}\n${cueTime(one.startMs)} --> ${cueTime(one.endMs)}\n${`${emotion} ${text}`.trim()}\n\n`;
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
 * @param {Journal} journal
 * @param {import("./sound.js").HeldSound | null} sound
 * @param {string} title
 * @param {import("./drawing.js").Theme} theme
 * @returns {Promise<Blob>} PNG.
 */
export function toPng(journal, sound, title, theme, now) {
  const canvas = Object.assign(document.createElement("canvas"), { width: 1_600, height: 900 });
  const pen = canvas.getContext("2d");
  const large = { ...theme, size: 18 };
  const toMs = Math.max(1_000, journal.edgeMs(now), journal.finals.at(-1)?.endMs ?? 0);
  pen.fillStyle = theme.paper;
  pen.fillRect(0, 0, 1_600, 900);
  pen.fillStyle = theme.ink;
  pen.font = `650 34px ${theme.sans}`;
  pen.fillText(title, 50, 70, 1_500);
  pen.fillStyle = theme.soft;
  pen.font = `20px ${theme.sans}`;
  const count = journal.finals.length;
  const first = journal.finals[0]?.startMs ?? 0;
  const part = journal.forgotten > 0 ? ` (the last ${count} utterances, from ${clock(first)})` : "";
  pen.fillText(`${clock(toMs)} of sound, ${count} utterances${part}`, 50, 106, 1_500);
  drawShares(pen, { x: 50, y: 135, width: 1_500, height: 70 }, journal, large);
  const fromMs = journal.forgotten > 0 ? first : 0;
  const edgeMs = toMs + 1;
  const scene = { journal, sound, fromMs, toMs, edgeMs, chosen: null, playMs: null };
  drawTimeline(pen, { x: 50, y: 235, width: 1_500, height: 300 }, scene, large);
  drawTrace(pen, { x: 50, y: 560, width: 1_500, height: 300 }, { journal, fromMs, toMs }, large);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}

function drawShares(pen, box, journal, theme) {
  let x = box.x;
  for (const { label, share, ms } of journal.shares()) {
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

/** Let the browser keep it under this name. */
export function download(name, blob) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
