/**
 * Drawing on a canvas: the timeline (waveform, utterances, words) and the trace (a strip for each emotion).
 * Pure functions of a scene, so that the page and the PNG are drawn by the same code.
 *
 * @typedef {import("./session_log.js").SessionLog} SessionLog
 * @typedef {{x: number, y: number, width: number, height: number}} Box
 *
 * @typedef {object} Theme
 * @property {string} paper
 * @property {string} card
 * @property {string} ink
 * @property {string} soft
 * @property {string} line
 * @property {string} focus
 * @property {string} warn
 * @property {(label: string) => string} hue  An emotion's colour.
 * @property {string} sans
 * @property {string} serif
 * @property {number} size  Of text, in pixels.
 *
 * @typedef {object} Scene
 * @property {SessionLog} log
 * @property {import("./audio_buffer.js").AudioRingBuffer | null} audio
 * @property {number} fromMs
 * @property {number} toMs
 * @property {number} liveEdgeMs  The position that the source has reached.
 * @property {string | null} selected  Key of an utterance.
 * @property {number | null} playbackMs  The playback position.
 */
import { clock, noEmotion, percent, title } from "./format.js";
import { shapeOf } from "./icons.js";
import { layoutTimeline } from "./lanes.js";

const BAR_PX = 3;
const LONGEST_UTTERANCE_MS = 30_000;
const STEPS_MS = [
  1_000, 2_000, 5_000, 10_000, 15_000, 30_000, 60_000, 120_000, 300_000, 600_000, 900_000, 1_800_000, 3_600_000,
];

/** @returns {Theme} The style sheet's custom properties (style.css), as they are now. */
export function readTheme(element = document.documentElement) {
  const style = getComputedStyle(element);
  const value = (name) => style.getPropertyValue(`--${name}`).trim();
  const hues = new Map();
  const hue = (label) => {
    if (!hues.has(label)) hues.set(label, value(`emotion-${label}`) || value("emotion-other"));
    return hues.get(label);
  };
  return {
    paper: value("paper"),
    card: value("card"),
    ink: value("ink"),
    soft: value("soft"),
    line: value("line"),
    focus: value("focus"),
    warn: value("warn"),
    hue,
    sans: value("sans"),
    serif: value("serif"),
    size: Number.parseFloat(style.fontSize) * 0.8,
  };
}

/**
 * Clear the canvas and give it the screen's resolution, in CSS pixels.
 *
 * @param {HTMLCanvasElement} canvas
 * @returns {{pen: CanvasRenderingContext2D, box: Box} | null} null if it is not visible.
 */
export function prepareCanvas(canvas) {
  const scale = devicePixelRatio || 1;
  const { clientWidth: width, clientHeight: height } = canvas;
  if (width === 0) return null;
  if (canvas.width !== Math.round(width * scale)) canvas.width = Math.round(width * scale);
  if (canvas.height !== Math.round(height * scale)) canvas.height = Math.round(height * scale);
  const pen = canvas.getContext("2d");
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.clearRect(0, 0, width, height);
  return { pen, box: { x: 0, y: 0, width, height } };
}

/** The finals and open utterances of a span, in the order in which they came. */
export function visibleUtterances(log, fromMs, toMs, liveEdgeMs) {
  const { finals } = log;
  // Finals of one voice are in order and do not overlap; those of several channels are out of order by less than
  // the longest utterance.
  const disorderMs = log.channels.length > 1 ? LONGEST_UTTERANCE_MS : 0;
  let [low, high] = [0, finals.length]; // the first one by bisection
  while (low < high) {
    const middle = (low + high) >> 1;
    if (finals[middle].endMs < fromMs - disorderMs) low = middle + 1;
    else high = middle;
  }
  const found = [];
  for (let i = low; i < finals.length && finals[i].startMs <= toMs + disorderMs; i++) {
    if (finals[i].startMs <= toMs && finals[i].endMs >= fromMs) found.push(finals[i]);
  }
  for (const [i, { key, startMs, channel, emotion }] of log.open.entries()) {
    // Of several of a voice that wait for the models, only the last may still be in progress.
    const next = log.open.slice(i + 1).find((later) => later.channel === channel);
    const endMs = next?.startMs ?? Math.max(liveEdgeMs, emotion?.endMs ?? startMs);
    if (startMs <= toMs && endMs >= fromMs) {
      found.push(
        emotion === null
          ? { key, startMs, endMs, channel, label: "", confidence: 0, text: "", final: false }
          : { ...emotion, key, startMs, endMs },
      );
    }
  }
  return found;
}

/**
 * @param {CanvasRenderingContext2D} pen
 * @param {Box} box
 * @param {Scene} scene
 * @param {Theme} theme
 */
export function drawTimeline(pen, box, scene, theme) {
  const { log, fromMs, toMs, liveEdgeMs } = scene;
  const { lanes, whole, axis } = layoutTimeline(box, log.channels, theme.size);
  const x = (ms) => box.x + ((ms - fromMs) / (toMs - fromMs)) * box.width;
  const shown = visibleUtterances(log, fromMs, toMs, liveEdgeMs);
  pen.save();
  pen.beginPath();
  pen.rect(box.x, box.y, box.width, box.height);
  pen.clip();
  drawAxis(pen, box, whole, axis, scene, theme, x);
  for (const lane of lanes) drawLane(pen, box, lane, scene, shown.filter(isIn(lane)), theme, x);
  if (scene.playbackMs !== null) drawLine(pen, x(scene.playbackMs), whole, theme.focus, 2);
  if (liveEdgeMs >= fromMs && liveEdgeMs <= toMs) drawLine(pen, x(liveEdgeMs), whole, theme.soft, 1);
  pen.restore();
}

/** A mark without a channel is in every lane. */
const isIn = (lane) => (drawn) => lane.channel === null || (drawn.channel ?? lane.channel) === lane.channel;

/** @param {import("./lanes.js").Lane} lane */
function drawLane(pen, box, lane, scene, shown, theme, x) {
  const { band, channel } = lane;
  pen.strokeStyle = theme.line;
  pen.lineWidth = 1;
  pen.beginPath();
  pen.moveTo(box.x, band.y + band.height / 2);
  pen.lineTo(box.x + box.width, band.y + band.height / 2);
  pen.stroke();
  for (const mark of scene.log.marks.filter(isIn(lane))) {
    if (mark.toMs >= scene.fromMs && mark.fromMs <= scene.toMs) drawMark(pen, lane, mark, theme, x);
  }
  for (const utterance of shown) drawUtterance(pen, band, utterance, utterance.key === scene.selected, theme, x);
  if (scene.audio !== null) drawWaveform(pen, box, band, scene, shown, theme, channel === null);
  for (const [i, utterance] of shown.entries()) {
    const untilMs = shown[i + 1]?.startMs ?? Infinity; // its words may extend into the pause after it
    drawWords(pen, lane, utterance, theme, Math.max(x(utterance.startMs), box.x) + 1, Math.min(x(untilMs) - 6, box.x + box.width));
  }
  if (channel === null) return;
  pen.font = `${theme.size * 0.92}px ${theme.sans}`;
  pen.textAlign = "right";
  pen.textBaseline = "middle";
  pen.fillStyle = theme.soft;
  pen.fillText(`channel ${channel}`, box.x + box.width - 4, lane.names.y + lane.names.height / 2);
}

function drawAxis(pen, box, whole, axis, { fromMs, toMs }, theme, x) {
  const most = Math.max(2, Math.floor(box.width / (theme.size * 8)));
  const step = STEPS_MS.find((ms) => (toMs - fromMs) / ms <= most) ?? STEPS_MS.at(-1);
  pen.font = `${theme.size * 0.92}px ${theme.sans}`;
  pen.textAlign = "left";
  pen.textBaseline = "middle";
  pen.lineWidth = 1;
  for (let ms = Math.max(0, Math.ceil(fromMs / step) * step); ms <= toMs; ms += step) {
    pen.strokeStyle = theme.line;
    pen.beginPath();
    pen.moveTo(x(ms), whole.y);
    pen.lineTo(x(ms), axis.y + axis.height);
    pen.stroke();
    pen.fillStyle = theme.soft;
    pen.fillText(clock(ms).replace(/\.0$/, ""), x(ms) + 4, axis.y + axis.height / 2);
  }
}

function drawMark(pen, rows, { kind, fromMs, toMs, reason }, theme, x) {
  const { band } = rows;
  if (kind === "no_emotion") {
    drawNoEmotion(pen, rows, noEmotion(reason), x(fromMs), x(toMs), theme);
    return;
  }
  if (kind === "session") {
    pen.setLineDash([2, 4]);
    drawLine(pen, x(fromMs), band, theme.ink, 1.5);
    pen.setLineDash([]);
    return;
  }
  const [left, right] = [x(fromMs), Math.max(x(toMs), x(fromMs) + 2)];
  pen.save();
  pen.beginPath();
  pen.rect(left, band.y, right - left, band.height);
  pen.clip();
  hatch(pen, left, band.y, right - left, band.height, theme.warn, 6);
  pen.restore();
}

/** A low grey block, and why it has no label. */
function drawNoEmotion(pen, { names, band }, text, left, right, theme) {
  const width = Math.max(2, right - left);
  const height = band.height * 0.3;
  pen.save();
  pen.globalAlpha = 0.16;
  pen.fillStyle = theme.soft;
  pen.beginPath();
  pen.roundRect(left, band.y + (band.height - height) / 2, width, height, Math.min(7, width / 2, height / 2));
  pen.fill();
  pen.restore();
  pen.font = `italic ${theme.size}px ${theme.sans}`;
  if (pen.measureText(text).width > width) return;
  pen.fillStyle = theme.soft;
  pen.textAlign = "left";
  pen.textBaseline = "middle";
  pen.fillText(text, left, names.y + names.height / 2);
}

function drawLine(pen, at, { y, height }, colour, width) {
  pen.strokeStyle = colour;
  pen.lineWidth = width;
  pen.beginPath();
  pen.moveTo(at, y);
  pen.lineTo(at, y + height);
  pen.stroke();
}

/** A block as high as the confidence: solid for a final, hatched and dashed for an interim result. */
function drawUtterance(pen, band, utterance, selected, theme, x) {
  const left = x(utterance.startMs);
  const width = Math.max(2, x(utterance.endMs) - left);
  const height = utterance.label === "" ? band.height * 0.3 : Math.max(6, band.height * utterance.confidence);
  const y = band.y + (band.height - height) / 2;
  const colour = hue(theme, utterance);
  pen.beginPath();
  pen.roundRect(left, y, width, height, Math.min(7, width / 2, height / 2));
  pen.save();
  pen.globalAlpha = utterance.final ? 0.24 : 0.1;
  pen.fillStyle = colour;
  pen.fill();
  pen.restore();
  if (!utterance.final) {
    pen.save();
    pen.clip();
    pen.globalAlpha = 0.4;
    hatch(pen, left, y, width, height, colour, 9);
    pen.restore();
    pen.beginPath();
    pen.roundRect(left, y, width, height, Math.min(7, width / 2, height / 2));
  }
  pen.lineWidth = 1.5;
  pen.strokeStyle = colour;
  pen.setLineDash(utterance.final ? [] : [5, 4]);
  pen.stroke();
  pen.setLineDash([]);
  if (!selected) return;
  pen.lineWidth = 2.5;
  pen.strokeStyle = theme.focus;
  pen.beginPath();
  pen.roundRect(left - 3, band.y - 1, width + 6, band.height + 2, 8);
  pen.stroke();
}

/** That of the label; none where there is no label, or one that is not to be believed. */
const hue = (theme, { label, reliable }) => (label === "" || reliable === false ? theme.soft : theme.hue(label));

function hatch(pen, x, y, width, height, colour, step) {
  pen.strokeStyle = colour;
  pen.lineWidth = 1;
  pen.beginPath();
  for (let at = x - height; at < x + width; at += step) {
    pen.moveTo(at, y + height);
    pen.lineTo(at + height, y);
  }
  pen.stroke();
}

/**
 * Bars, each as high as its loudest sample, in the colour of the utterance there. everywhere: also where there is
 * none; the audio is mixed, so that a channel has only that of its own utterances.
 */
function drawWaveform(pen, box, band, { audio, fromMs, toMs }, shown, theme, everywhere) {
  const perBar = ((toMs - fromMs) * BAR_PX) / box.width;
  // Bars start at fixed times, so that they do not flicker while the view moves.
  const first = Math.floor(fromMs / perBar) * perBar;
  const last = Math.min(toMs, audio.endMs);
  let loudest = 0.04;
  for (let ms = first; ms < last; ms += perBar) loudest = Math.max(loudest, audio.peak(ms, ms + perBar));
  const middle = band.y + band.height / 2;
  const paths = new Map();
  let next = 0;
  for (let ms = Math.max(0, first); ms < last; ms += perBar) {
    while (next < shown.length && shown[next].endMs <= ms) next++;
    const inside = next < shown.length && shown[next].startMs < ms + perBar ? shown[next] : null;
    if (inside === null && !everywhere) continue;
    const colour = inside === null ? theme.soft : hue(theme, inside);
    const height = Math.max(1, (audio.peak(ms, ms + perBar) / loudest) * band.height * 0.86);
    let path = paths.get(colour);
    if (path === undefined) paths.set(colour, (path = new Path2D()));
    const x = box.x + ((ms - fromMs) / (toMs - fromMs)) * box.width;
    path.rect(x, middle - height / 2, BAR_PX - 1, height);
  }
  for (const [colour, path] of paths) {
    pen.fillStyle = colour;
    pen.fill(path);
  }
}

/** Above the block its label and confidence, below it its words: as much of both as fits. */
function drawWords(pen, { names, words }, utterance, theme, left, right) {
  const width = right - left;
  pen.textAlign = "left";
  pen.textBaseline = "middle";
  const middle = names.y + names.height / 2;
  if (utterance.label !== "" && width >= theme.size * 1.1) {
    drawIcon(pen, utterance.label, left, middle - theme.size * 0.65, theme.size * 1.3, theme, hue(theme, utterance));
    pen.font = `${utterance.final ? "600" : "italic"} ${theme.size}px ${theme.sans}`;
    pen.fillStyle = theme.ink;
    const from = left + theme.size * 1.6;
    const candidates = [`${title(utterance.label)} ${percent(utterance.confidence)}`, title(utterance.label)];
    const fits = candidates.find((text) => pen.measureText(text).width <= width - theme.size * 1.6);
    if (fits !== undefined) pen.fillText(fits, from, middle);
  }
  if (utterance.text === "" || width < theme.size * 2) return;
  pen.font = `${utterance.final ? "" : "italic "}${theme.size * 1.08}px ${theme.serif}`;
  pen.fillStyle = utterance.final ? theme.ink : theme.soft;
  for (const [i, line] of wrapText(pen, utterance.text, width, words.lines).entries()) {
    pen.fillText(line, left, words.y + words.line * (i + 0.55));
  }
}

/** A text on at most `maxLines` lines; what does not fit is replaced by an ellipsis. */
export function wrapText(pen, text, width, maxLines) {
  const lines = [];
  let rest = text.split(/\s+/).filter((word) => word !== "");
  while (rest.length > 0 && lines.length < maxLines) {
    let count = 1;
    while (count < rest.length && pen.measureText(rest.slice(0, count + 1).join(" ")).width <= width) count++;
    lines.push(rest.slice(0, count).join(" "));
    rest = rest.slice(count);
  }
  const last = lines.length - 1;
  return lines.map((line, i) => truncated(pen, line, width, i === last && rest.length > 0));
}

function truncated(pen, line, width, more) {
  if (!more && pen.measureText(line).width <= width) return line;
  let length = line.length;
  while (length > 0 && pen.measureText(`${line.slice(0, length)}…`).width > width) length--;
  return length > 0 ? `${line.slice(0, length).trimEnd()}…` : "";
}

export function drawIcon(pen, label, x, y, size, theme, colour = theme.hue(label)) {
  const { body, face } = shapeOf(label);
  pen.save();
  pen.translate(x, y);
  pen.scale(size / 24, size / 24);
  pen.fillStyle = colour;
  pen.fill(new Path2D(body));
  pen.strokeStyle = theme.card;
  pen.lineWidth = 2.2;
  pen.lineCap = "round";
  pen.stroke(new Path2D(face));
  pen.restore();
}

/**
 * A strip for each emotion: at every utterance as high as its probability, solid where it is the label and to be
 * believed.
 *
 * @param {CanvasRenderingContext2D} pen
 * @param {Box} box
 * @param {{log: SessionLog, fromMs: number, toMs: number}} scene
 * @param {Theme} theme
 */
export function drawTrace(pen, box, { log, fromMs, toMs }, theme) {
  const { labels, finals } = log;
  const strip = box.height / Math.max(1, labels.length);
  const names = Math.min(box.width * 0.3, theme.size * 6.4);
  const inner = { x: box.x + names, width: box.width - names };
  const x = (ms) => inner.x + ((ms - fromMs) / Math.max(1, toMs - fromMs)) * inner.width;
  for (const [i, label] of labels.entries()) {
    const floor = box.y + (i + 1) * strip - 3;
    const height = strip - 8;
    drawIcon(pen, label, box.x, floor - strip / 2 - theme.size * 0.55, theme.size * 1.3, theme);
    pen.font = `${theme.size}px ${theme.sans}`;
    pen.textAlign = "left";
    pen.textBaseline = "middle";
    pen.fillStyle = theme.ink;
    pen.fillText(label, box.x + theme.size * 1.7, floor - strip / 2 + theme.size * 0.15);
    pen.strokeStyle = theme.line;
    pen.lineWidth = 1;
    pen.beginPath();
    pen.moveTo(inner.x, floor + 0.5);
    pen.lineTo(inner.x + inner.width, floor + 0.5);
    pen.stroke();
    const [top, rest] = [new Path2D(), new Path2D()];
    for (const utterance of finals) {
      if (utterance.endMs < fromMs || utterance.startMs > toMs) continue;
      const left = x(utterance.startMs);
      const high = Math.max(1, (utterance.probabilities[label] ?? 0) * height);
      const path = utterance.label === label && utterance.reliable !== false ? top : rest;
      path.rect(left, floor - high, Math.max(1.5, x(utterance.endMs) - left - 0.5), high);
    }
    pen.fillStyle = theme.hue(label);
    pen.save();
    pen.globalAlpha = 0.35;
    pen.fill(rest);
    pen.restore();
    pen.fill(top);
  }
}
