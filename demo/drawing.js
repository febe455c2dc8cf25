/**
 * Pictures on a canvas: the timeline (sound, utterances, words) and the trace (a strip for each emotion).
 * Pure functions of what is to be seen, so that the page and the PNG are drawn by the same hand.
 *
 * @typedef {import("./journal.js").Journal} Journal
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
 * @property {(label: string) => string} hue
 * @property {string} sans
 * @property {string} serif
 * @property {number} size  Of text, pixels.
 *
 * @typedef {object} Scene
 * @property {Journal} journal
 * @property {import("./sound.js").HeldSound | null} sound
 * @property {number} fromMs
 * @property {number} toMs
 * @property {number} edgeMs  How far the source has got.
 * @property {string | null} chosen  Key of an utterance.
 * @property {number | null} playMs  What is heard just now.
 */
import { clock, percent, title } from "./format.js";
import { shapeOf } from "./icons.js";

const BAR_PX = 3;
const STEPS_MS = [
  1_000, 2_000, 5_000, 10_000, 15_000, 30_000, 60_000, 120_000, 300_000, 600_000, 900_000, 1_800_000, 3_600_000,
];

/** @returns {Theme} As the style sheet has it at this moment. */
export function readTheme(element = document.documentElement) {
  const style = getComputedStyle(element);
  const value = (name) => style.getPropertyValue(`--${name}`).trim();
  const hues = Object.fromEntries(["angry", "happy", "sad", "neutral"].map((label) => [label, value(label)]));
  return {
    paper: value("paper"),
    card: value("card"),
    ink: value("ink"),
    soft: value("soft"),
    line: value("line"),
    focus: value("focus"),
    warn: value("warn"),
    hue: (label) => hues[label] ?? value("other"),
    sans: value("sans"),
    serif: value("serif"),
    size: Number.parseFloat(style.fontSize) * 0.8,
  };
}

/**
 * Ready to be drawn on: as many pixels as the screen has for it, in the style sheet's units, and empty.
 *
 * @param {HTMLCanvasElement} canvas
 * @returns {{pen: CanvasRenderingContext2D, box: Box} | null} null where it is not seen.
 */
export function blank(canvas) {
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

/** The finals and open utterances that lie in a span, in the order of speech. */
export function visible(journal, fromMs, toMs, edgeMs) {
  const { finals } = journal;
  // Finals are in order and do not overlap: the first one by halving.
  let [low, high] = [0, finals.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (finals[middle].endMs < fromMs) low = middle + 1;
    else high = middle;
  }
  const found = [];
  for (let i = low; i < finals.length && finals[i].startMs <= toMs; i++) found.push(finals[i]);
  for (const [i, { key, startMs, emotion }] of journal.open.entries()) {
    // Of several that wait for the models only the last one may still be spoken.
    const endMs = journal.open[i + 1]?.startMs ?? Math.max(edgeMs, emotion?.endMs ?? startMs);
    if (startMs <= toMs && endMs >= fromMs) {
      found.push(
        emotion === null
          ? { key, startMs, endMs, label: "", confidence: 0, text: "", final: false }
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
  const { journal, fromMs, toMs, edgeMs } = scene;
  const rows = layout(box, theme);
  const x = (ms) => box.x + ((ms - fromMs) / (toMs - fromMs)) * box.width;
  const shown = visible(journal, fromMs, toMs, edgeMs);
  pen.save();
  pen.beginPath();
  pen.rect(box.x, box.y, box.width, box.height);
  pen.clip();
  drawAxis(pen, box, rows, scene, theme, x);
  for (const mark of journal.marks) {
    if (mark.toMs >= fromMs && mark.fromMs <= toMs) drawMark(pen, rows, mark, theme, x);
  }
  for (const one of shown) drawUtterance(pen, rows.band, one, one.key === scene.chosen, theme, x);
  if (scene.sound !== null) drawWave(pen, box, rows.band, scene, shown, theme);
  for (const [i, one] of shown.entries()) {
    const untilMs = shown[i + 1]?.startMs ?? Infinity; // the pause behind it has room for its words
    drawWords(pen, rows, one, theme, Math.max(x(one.startMs), box.x) + 1, Math.min(x(untilMs) - 6, box.x + box.width));
  }
  if (scene.playMs !== null) drawLine(pen, x(scene.playMs), rows.band, theme.focus, 2);
  if (edgeMs >= fromMs && edgeMs <= toMs) drawLine(pen, x(edgeMs), rows.band, theme.soft, 1);
  pen.restore();
}

/** From top to bottom: names, the band of sound, words, time. */
function layout({ y, height }, { size }) {
  const line = size * 1.5;
  const top = y + line * 1.2;
  const wordsHeight = line * 2;
  const bottom = y + height - line - wordsHeight;
  return {
    names: { y, height: line * 1.2 },
    band: { y: top, height: bottom - top },
    words: { y: bottom, height: wordsHeight, line },
    axis: { y: bottom + wordsHeight, height: line },
  };
}

function drawAxis(pen, box, { band, axis }, { fromMs, toMs }, theme, x) {
  const most = Math.max(2, Math.floor(box.width / (theme.size * 8)));
  const step = STEPS_MS.find((ms) => (toMs - fromMs) / ms <= most) ?? STEPS_MS.at(-1);
  pen.font = `${theme.size * 0.92}px ${theme.sans}`;
  pen.textAlign = "left";
  pen.textBaseline = "middle";
  pen.lineWidth = 1;
  for (let ms = Math.max(0, Math.ceil(fromMs / step) * step); ms <= toMs; ms += step) {
    pen.strokeStyle = theme.line;
    pen.beginPath();
    pen.moveTo(x(ms), band.y);
    pen.lineTo(x(ms), axis.y + axis.height);
    pen.stroke();
    pen.fillStyle = theme.soft;
    pen.fillText(clock(ms).replace(/\.0$/, ""), x(ms) + 4, axis.y + axis.height / 2);
  }
  pen.strokeStyle = theme.line;
  pen.beginPath();
  pen.moveTo(box.x, band.y + band.height / 2);
  pen.lineTo(box.x + box.width, band.y + band.height / 2);
  pen.stroke();
}

function drawMark(pen, { band }, { kind, fromMs, toMs }, theme, x) {
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

function drawLine(pen, at, { y, height }, colour, width) {
  pen.strokeStyle = colour;
  pen.lineWidth = width;
  pen.beginPath();
  pen.moveTo(at, y);
  pen.lineTo(at, y + height);
  pen.stroke();
}

/** A block as high as the judgement is sure: full for a final, hatched and broken for what may change. */
function drawUtterance(pen, band, one, chosen, theme, x) {
  const left = x(one.startMs);
  const width = Math.max(2, x(one.endMs) - left);
  const height = one.label === "" ? band.height * 0.3 : Math.max(6, band.height * one.confidence);
  const y = band.y + (band.height - height) / 2;
  const colour = one.label === "" ? theme.soft : theme.hue(one.label);
  pen.beginPath();
  pen.roundRect(left, y, width, height, Math.min(7, width / 2, height / 2));
  pen.save();
  pen.globalAlpha = one.final ? 0.24 : 0.1;
  pen.fillStyle = colour;
  pen.fill();
  pen.restore();
  if (!one.final) {
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
  pen.setLineDash(one.final ? [] : [5, 4]);
  pen.stroke();
  pen.setLineDash([]);
  if (!chosen) return;
  pen.lineWidth = 2.5;
  pen.strokeStyle = theme.focus;
  pen.beginPath();
  pen.roundRect(left - 3, band.y - 1, width + 6, band.height + 2, 8);
  pen.stroke();
}

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

/** Bars, each as high as the loudest sample in it, in the colour of what was heard there. */
function drawWave(pen, box, band, { sound, fromMs, toMs }, shown, theme) {
  const perBar = ((toMs - fromMs) * BAR_PX) / box.width;
  // Bars stand at fixed times, so that they do not flicker while the view moves.
  const first = Math.floor(fromMs / perBar) * perBar;
  const last = Math.min(toMs, sound.endMs);
  let loudest = 0.04;
  for (let ms = first; ms < last; ms += perBar) loudest = Math.max(loudest, sound.peak(ms, ms + perBar));
  const middle = band.y + band.height / 2;
  const paths = new Map();
  let next = 0;
  for (let ms = Math.max(0, first); ms < last; ms += perBar) {
    while (next < shown.length && shown[next].endMs <= ms) next++;
    const inside = next < shown.length && shown[next].startMs < ms + perBar ? shown[next] : null;
    const colour = inside?.label ? theme.hue(inside.label) : theme.soft;
    const height = Math.max(1, (sound.peak(ms, ms + perBar) / loudest) * band.height * 0.86);
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

/** Above the block which emotion and how sure, below it what was said: as much of both as fits. */
function drawWords(pen, { names, words }, one, theme, left, right) {
  const room = right - left;
  pen.textAlign = "left";
  pen.textBaseline = "middle";
  const middle = names.y + names.height / 2;
  if (one.label !== "" && room >= theme.size * 1.1) {
    drawIcon(pen, one.label, left, middle - theme.size * 0.65, theme.size * 1.3, theme);
    pen.font = `${one.final ? "600" : "italic"} ${theme.size}px ${theme.sans}`;
    pen.fillStyle = theme.ink;
    const from = left + theme.size * 1.6;
    const said = [`${title(one.label)} ${percent(one.confidence)}`, title(one.label)];
    const fits = said.find((text) => pen.measureText(text).width <= room - theme.size * 1.6);
    if (fits !== undefined) pen.fillText(fits, from, middle);
  }
  if (one.text === "" || room < theme.size * 2) return;
  pen.font = `${one.final ? "" : "italic "}${theme.size * 1.08}px ${theme.serif}`;
  pen.fillStyle = one.final ? theme.ink : theme.soft;
  for (const [i, line] of wrapped(pen, one.text, room, 2).entries()) {
    pen.fillText(line, left, words.y + words.line * (i + 0.55));
  }
}

/** A text on at most so many lines; what is too much ends in an ellipsis. */
export function wrapped(pen, text, room, most) {
  const lines = [];
  let rest = text.split(/\s+/).filter((word) => word !== "");
  while (rest.length > 0 && lines.length < most) {
    let count = 1;
    while (count < rest.length && pen.measureText(rest.slice(0, count + 1).join(" ")).width <= room) count++;
    lines.push(rest.slice(0, count).join(" "));
    rest = rest.slice(count);
  }
  const last = lines.length - 1;
  return lines.map((line, i) => shortened(pen, line, room, i === last && rest.length > 0));
}

function shortened(pen, line, room, more) {
  if (!more && pen.measureText(line).width <= room) return line;
  let length = line.length;
  while (length > 0 && pen.measureText(`${line.slice(0, length)}…`).width > room) length--;
  return length > 0 ? `${line.slice(0, length).trimEnd()}…` : "";
}

export function drawIcon(pen, label, x, y, size, theme) {
  const { body, face } = shapeOf(label);
  pen.save();
  pen.translate(x, y);
  pen.scale(size / 24, size / 24);
  pen.fillStyle = theme.hue(label);
  pen.fill(new Path2D(body));
  pen.strokeStyle = theme.card;
  pen.lineWidth = 2.2;
  pen.lineCap = "round";
  pen.stroke(new Path2D(face));
  pen.restore();
}

/**
 * A strip for each emotion: at every utterance as high as its probability, filled where it won.
 *
 * @param {CanvasRenderingContext2D} pen
 * @param {Box} box
 * @param {{journal: Journal, fromMs: number, toMs: number}} scene
 * @param {Theme} theme
 */
export function drawTrace(pen, box, { journal, fromMs, toMs }, theme) {
  const { labels, finals } = journal;
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
    const [won, rest] = [new Path2D(), new Path2D()];
    for (const one of finals) {
      if (one.endMs < fromMs || one.startMs > toMs) continue;
      const left = x(one.startMs);
      const high = Math.max(1, (one.probabilities[label] ?? 0) * height);
      const path = one.label === label ? won : rest;
      path.rect(left, floor - high, Math.max(1.5, x(one.endMs) - left - 0.5), high);
    }
    pen.fillStyle = theme.hue(label);
    pen.save();
    pen.globalAlpha = 0.35;
    pen.fill(rest);
    pen.restore();
    pen.fill(won);
  }
}
