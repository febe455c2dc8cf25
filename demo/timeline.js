/**
 * The timeline on the page: follows the live edge, can be panned and zoomed, and lets an utterance be selected
 * with mouse, finger or keys. To a screen reader it is a slider over the utterances.
 */
import { drawTimeline, prepareCanvas, readTheme, visibleUtterances } from "./canvas.js";
import { clock, percent, title } from "./format.js";
import { channelAt } from "./lanes.js";

export const SPANS_MS = [10_000, 20_000, 30_000, 60_000, 120_000, 300_000, 900_000, 3_600_000, 14_400_000];
const FRAME_MS = 1_000 / 30;
const SLOW_FRAME_MS = 1_000;
const LEAD = 0.03; // of the width: empty space after the live edge

export class Timeline {
  #canvas;
  #now;
  #onSelect;
  #onPlay;
  #onMove;
  #log = null;
  #audio = null;
  #player = null;
  #theme = null;
  #spanIndex = defaultSpan();
  #fittedMs = null; // shown instead of a span: the whole of a session that has ended
  #zooms = new Map(); // source -> index of the span that the user chose for it
  #source;
  #toMs = null; // the right edge of the view; null: it follows the live edge
  #selected = null;
  #dirty = true;
  #drawnAt = 0;
  #drag = null;
  #running = false;
  #reducedMotion = matchMedia("(prefers-reduced-motion: reduce)");

  /**
   * @param {HTMLCanvasElement} canvas
   * @param {object} settings
   * @param {() => string} settings.source  What is shown: each keeps its own zoom.
   * @param {() => number} [settings.now]
   * @param {(key: string | null) => void} settings.onSelect
   * @param {(key: string) => void} settings.onPlay
   * @param {() => void} settings.onMove  Called when the view follows, is panned or zoomed.
   */
  constructor(canvas, { source, now = () => performance.now(), onSelect, onPlay, onMove }) {
    this.#canvas = canvas;
    this.#source = source;
    this.#now = now;
    this.#onSelect = onSelect;
    this.#onPlay = onPlay;
    this.#onMove = onMove;
    canvas.addEventListener("pointerdown", (event) => this.#onPointerDown(event));
    canvas.addEventListener("pointermove", (event) => this.#onPointerMove(event));
    canvas.addEventListener("pointerup", (event) => this.#onPointerUp(event));
    canvas.addEventListener("pointercancel", () => (this.#drag = null));
    canvas.addEventListener("wheel", (event) => this.#onWheel(event), { passive: false });
    canvas.addEventListener("keydown", (event) => this.#onKey(event));
    new ResizeObserver(() => this.redraw()).observe(canvas);
    const onThemeChange = () => {
      this.#theme = null;
      this.redraw();
    };
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", onThemeChange);
    matchMedia("(forced-colors: active)").addEventListener("change", onThemeChange);
    document.addEventListener("visibilitychange", () => this.redraw());
  }

  /** Show this session, at the zoom of its source; nothing is selected. */
  show(log, audio, player) {
    if (log !== this.#log) {
      this.#spanIndex = this.#zooms.get(this.#source()) ?? defaultSpan();
      this.#fittedMs = null;
    }
    this.#log = log;
    this.#audio = audio;
    this.#player = player;
    this.#toMs = null;
    this.select(null);
    this.redraw();
  }

  /** Redraw with the next frame. */
  redraw() {
    this.#dirty = true;
    if (this.#running || document.visibilityState !== "visible") return;
    this.#running = true;
    requestAnimationFrame((time) => this.#frame(time));
  }

  get follows() {
    return this.#toMs === null;
  }

  get spanMs() {
    return this.#fittedMs ?? SPANS_MS[this.#spanIndex];
  }

  get canZoomIn() {
    return nextSpan(this.spanMs, -1) !== null;
  }

  get canZoomOut() {
    return nextSpan(this.spanMs, 1) !== null;
  }

  get selected() {
    return this.#selected;
  }

  follow() {
    this.#toMs = null;
    this.#onMove();
    this.redraw();
  }

  /** Show the whole of a session that has ended, unless the user has chosen another zoom or looks at a part. */
  fit() {
    if (this.#zooms.has(this.#source()) || !this.follows) return;
    this.#fittedMs = fittedSpan(this.#liveEdgeMs());
    this.#onMove();
    this.redraw();
  }

  /** It goes on: what comes is shown as of any session in progress. */
  unfit() {
    if (this.#fittedMs === null) return;
    this.#fittedMs = null;
    this.#onMove();
    this.redraw();
  }

  /** Zoom by steps: around the right edge if the view follows, otherwise around its middle. */
  zoom(steps) {
    const next = nextSpan(this.spanMs, Math.sign(steps));
    if (next === null) return;
    const middle = this.#view().toMs - this.spanMs / 2;
    this.#spanIndex = next;
    this.#fittedMs = null;
    this.#zooms.set(this.#source(), next);
    if (!this.follows) this.#moveTo(middle + this.spanMs / 2);
    this.#onMove();
    this.redraw();
  }

  /** @param {string | null} key  Scrolled into view; null selects nothing. */
  select(key) {
    this.#selected = key;
    const utterance = this.#find(key);
    if (utterance !== null) {
      const { fromMs, toMs } = this.#view();
      if (utterance.startMs < fromMs || utterance.endMs > toMs) {
        this.#moveTo((utterance.startMs + utterance.endMs) / 2 + this.spanMs / 2);
        this.#onMove();
      }
    }
    this.#setAriaValue(utterance);
    this.#onSelect(key);
    this.redraw();
  }

  #find(key) {
    if (key === null || this.#log === null) return null;
    return this.#log.finals.findLast((utterance) => utterance.key === key) ?? null;
  }

  #moveTo(toMs) {
    const edge = this.#liveEdgeMs() + LEAD * this.spanMs;
    this.#toMs = Math.max(Math.min(this.spanMs, edge), toMs);
    if (this.#toMs >= edge) this.#toMs = null;
  }

  #liveEdgeMs() {
    if (this.#log === null) return 0;
    return Math.max(this.#log.liveEdgeMs(this.#now()), this.#audio?.endMs ?? 0);
  }

  #view() {
    const following = Math.max(this.spanMs, this.#liveEdgeMs() + LEAD * this.spanMs);
    const toMs = this.#toMs ?? following;
    return { fromMs: toMs - this.spanMs, toMs };
  }

  #frame(time) {
    this.#running = false;
    if (this.#log === null) return;
    const moving = this.#isMoving();
    // Zoomed out to seconds per pixel, a thirtieth of a second is not visible.
    const halfPixelMs = this.spanMs / Math.max(1, this.#canvas.width) / 2;
    const least = this.#reducedMotion.matches ? SLOW_FRAME_MS : FRAME_MS;
    const wait = Math.max(least, Math.min(halfPixelMs, SLOW_FRAME_MS));
    if (this.#dirty || (moving && time - this.#drawnAt >= wait - 4)) {
      this.#dirty = false;
      this.#drawnAt = time;
      this.#draw();
    }
    if (!moving || document.visibilityState !== "visible") return;
    this.#running = true;
    requestAnimationFrame((next) => this.#frame(next));
  }

  /** Whether the picture changes although no event arrives. */
  #isMoving() {
    if (this.#player?.playing != null) return true;
    const [now, soon] = [this.#now(), this.#now() + 1_000];
    return this.#log.liveEdgeMs(soon) > this.#log.liveEdgeMs(now);
  }

  #draw() {
    const ready = prepareCanvas(this.#canvas);
    if (ready === null) return;
    this.#theme ??= readTheme();
    const scene = {
      log: this.#log,
      audio: this.#audio,
      ...this.#view(),
      liveEdgeMs: this.#liveEdgeMs(),
      selected: this.#selected,
      playbackMs: this.#player?.positionMs ?? null,
    };
    drawTimeline(ready.pen, ready.box, scene, this.#theme);
  }

  #onPointerDown(event) {
    if (event.button !== 0) return;
    this.#canvas.setPointerCapture(event.pointerId);
    this.#drag = { x: event.clientX, toMs: this.#view().toMs, moved: false };
  }

  #onPointerMove(event) {
    if (this.#drag === null) return;
    const draggedPx = event.clientX - this.#drag.x;
    if (Math.abs(draggedPx) < 4 && !this.#drag.moved) return;
    this.#drag.moved = true;
    this.#moveTo(this.#drag.toMs - (draggedPx / this.#canvas.clientWidth) * this.spanMs);
    this.#onMove();
    this.redraw();
  }

  #onPointerUp(event) {
    const drag = this.#drag;
    this.#drag = null;
    if (drag === null || drag.moved || this.#log === null) return;
    const { fromMs, toMs } = this.#view();
    const at = fromMs + (event.offsetX / this.#canvas.clientWidth) * this.spanMs;
    const near = (6 / this.#canvas.clientWidth) * this.spanMs; // a finger is imprecise
    const channel = channelAt(event.offsetY, this.#canvas.clientHeight, this.#log.channels);
    const hit = visibleUtterances(this.#log, fromMs, toMs, this.#liveEdgeMs()).find(
      ({ startMs, endMs, final, channel: of }) =>
        final && startMs - near <= at && at <= endMs + near && (channel === null || of === channel),
    );
    if (hit === undefined) return;
    this.select(hit.key);
    this.#onPlay(hit.key);
  }

  #onWheel(event) {
    if (event.ctrlKey) {
      event.preventDefault();
      this.zoom(Math.sign(event.deltaY));
    } else if (event.deltaX !== 0 || event.shiftKey) {
      event.preventDefault();
      const by = event.deltaX || event.deltaY;
      this.#moveTo(this.#view().toMs + (by / this.#canvas.clientWidth) * this.spanMs);
      this.#onMove();
      this.redraw();
    }
  }

  #onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const action = {
      ArrowLeft: () => this.#step(-1),
      ArrowRight: () => this.#step(1),
      PageUp: () => this.#step(-10),
      PageDown: () => this.#step(10),
      Home: () => this.#step(-Infinity),
      End: () => this.#step(Infinity),
      Enter: () => this.#selected !== null && this.#onPlay(this.#selected),
      " ": () => this.#selected !== null && this.#onPlay(this.#selected),
      Escape: () => this.select(null),
      "+": () => this.zoom(-1),
      "-": () => this.zoom(1),
    }[event.key];
    if (action === undefined) return;
    event.preventDefault();
    action();
  }

  #step(by) {
    const finals = this.#log?.finals ?? [];
    if (finals.length === 0) return;
    const at = finals.findLastIndex(({ key }) => key === this.#selected);
    const from = at === -1 ? (by < 0 ? finals.length : -1) : at;
    const next = Math.max(0, Math.min(finals.length - 1, from + by));
    this.select(finals[next].key);
  }

  /** For a screen reader: the number of the selected utterance, of how many, and what it is. */
  #setAriaValue(utterance) {
    const count = this.#log?.finals.length ?? 0;
    const canvas = this.#canvas;
    canvas.setAttribute("aria-valuemin", "0");
    canvas.setAttribute("aria-valuemax", String(count));
    const number = utterance === null ? 0 : this.#log.finals.lastIndexOf(utterance) + 1;
    canvas.setAttribute("aria-valuenow", String(number));
    canvas.setAttribute("aria-valuetext", utterance === null ? "none selected" : description(utterance));
  }

  /** The number of utterances or of channels may have changed. */
  updateCount() {
    this.#canvas.classList.toggle("lanes", (this.#log?.channels.length ?? 0) > 1);
    this.#setAriaValue(this.#find(this.#selected));
  }
}

/** @param {number} ms @returns {number} The span that so much fills, but for the lead; no less than a second. */
export const fittedSpan = (ms) => Math.min(SPANS_MS.at(-1), Math.max(1_000, ms / (1 - LEAD)));

/**
 * @param {number} spanMs  Any.
 * @param {number} step  -1: the next shorter one; 1: the next longer one.
 * @returns {number | null} Its index in SPANS_MS; null: there is none.
 */
export function nextSpan(spanMs, step) {
  const found = step < 0 ? SPANS_MS.findLastIndex((each) => each < spanMs) : SPANS_MS.findIndex((each) => each > spanMs);
  return found === -1 ? null : found;
}

/** The index of 20 s on a phone, of 30 s elsewhere. */
const defaultSpan = () => (matchMedia("(max-width: 40rem)").matches ? 1 : 2);

function description({ label, confidence, startMs, text }) {
  return `${title(label)}, ${percent(confidence)}, at ${clock(startMs)}: ${text || "no words"}`;
}
