/**
 * The timeline on the page: follows what is heard, can be moved and stretched, and lets an utterance be
 * chosen with mouse, finger or keys. For who cannot see it, it is a slider over the utterances.
 */
import { blank, drawTimeline, readTheme, visible } from "./drawing.js";
import { clock, percent, title } from "./format.js";

export const SPANS_MS = [10_000, 20_000, 30_000, 60_000, 120_000, 300_000, 900_000, 3_600_000, 14_400_000];
const FRAME_MS = 1_000 / 30;
const CALM_FRAME_MS = 1_000;
const LEAD = 0.03; // of the width: how much future is seen

export class Timeline {
  #canvas;
  #now;
  #onChoose;
  #onHear;
  #onMove;
  #journal = null;
  #sound = null;
  #player = null;
  #theme = null;
  #spanIndex = matchMedia("(max-width: 40rem)").matches ? 1 : 2; // 20 or 30 s
  #toMs = null; // the right edge; null: it follows what is heard
  #chosen = null;
  #dirty = true;
  #drawn = 0;
  #drag = null;
  #running = false;
  #calm = matchMedia("(prefers-reduced-motion: reduce)");

  /**
   * @param {HTMLCanvasElement} canvas
   * @param {object} settings
   * @param {() => number} [settings.now]
   * @param {(key: string | null) => void} settings.onChoose
   * @param {(key: string) => void} settings.onHear
   * @param {() => void} settings.onMove  Told when it follows, stands or is stretched.
   */
  constructor(canvas, { now = () => performance.now(), onChoose, onHear, onMove }) {
    this.#canvas = canvas;
    this.#now = now;
    this.#onChoose = onChoose;
    this.#onHear = onHear;
    this.#onMove = onMove;
    canvas.addEventListener("pointerdown", (event) => this.#press(event));
    canvas.addEventListener("pointermove", (event) => this.#pull(event));
    canvas.addEventListener("pointerup", (event) => this.#release(event));
    canvas.addEventListener("pointercancel", () => (this.#drag = null));
    canvas.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    canvas.addEventListener("keydown", (event) => this.#key(event));
    new ResizeObserver(() => this.change()).observe(canvas);
    const look = () => {
      this.#theme = null;
      this.change();
    };
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", look);
    matchMedia("(forced-colors: active)").addEventListener("change", look);
    document.addEventListener("visibilitychange", () => this.change());
  }

  /** Show this; what was chosen is let go. */
  show(journal, sound, player) {
    this.#journal = journal;
    this.#sound = sound;
    this.#player = player;
    this.#toMs = null;
    this.choose(null);
    this.change();
  }

  /** Something is new: draw it with the next frame. */
  change() {
    this.#dirty = true;
    if (this.#running || document.visibilityState !== "visible") return;
    this.#running = true;
    requestAnimationFrame((time) => this.#frame(time));
  }

  get follows() {
    return this.#toMs === null;
  }

  get spanMs() {
    return SPANS_MS[this.#spanIndex];
  }

  get canZoomIn() {
    return this.#spanIndex > 0;
  }

  get canZoomOut() {
    return this.#spanIndex < SPANS_MS.length - 1;
  }

  get chosen() {
    return this.#chosen;
  }

  follow() {
    this.#toMs = null;
    this.#onMove();
    this.change();
  }

  /** Stretch or shrink by a step, about the right edge where it follows and about the middle where not. */
  zoom(steps) {
    const middle = this.#view().toMs - this.spanMs / 2;
    this.#spanIndex = Math.max(0, Math.min(SPANS_MS.length - 1, this.#spanIndex + steps));
    if (!this.follows) this.#moveTo(middle + this.spanMs / 2);
    this.#onMove();
    this.change();
  }

  /** @param {string | null} key  Brought into view. */
  choose(key) {
    this.#chosen = key;
    const one = this.#find(key);
    if (one !== null) {
      const { fromMs, toMs } = this.#view();
      if (one.startMs < fromMs || one.endMs > toMs) {
        this.#moveTo((one.startMs + one.endMs) / 2 + this.spanMs / 2);
        this.#onMove();
      }
    }
    this.#tell(one);
    this.#onChoose(key);
    this.change();
  }

  #find(key) {
    if (key === null || this.#journal === null) return null;
    return this.#journal.finals.findLast((one) => one.key === key) ?? null;
  }

  #moveTo(toMs) {
    const edge = this.#edgeMs() + LEAD * this.spanMs;
    this.#toMs = Math.max(Math.min(this.spanMs, edge), toMs);
    if (this.#toMs >= edge) this.#toMs = null;
  }

  #edgeMs() {
    if (this.#journal === null) return 0;
    return Math.max(this.#journal.edgeMs(this.#now()), this.#sound?.endMs ?? 0);
  }

  #view() {
    const following = Math.max(this.spanMs, this.#edgeMs() + LEAD * this.spanMs);
    const toMs = this.#toMs ?? following;
    return { fromMs: toMs - this.spanMs, toMs };
  }

  #frame(time) {
    this.#running = false;
    if (this.#journal === null) return;
    const moving = this.#isMoving();
    // Where a pixel is seconds of sound, nothing is to be seen of a thirtieth of a second.
    const halfPixelMs = this.spanMs / Math.max(1, this.#canvas.width) / 2;
    const least = this.#calm.matches ? CALM_FRAME_MS : FRAME_MS;
    const wait = Math.max(least, Math.min(halfPixelMs, CALM_FRAME_MS));
    if (this.#dirty || (moving && time - this.#drawn >= wait - 4)) {
      this.#dirty = false;
      this.#drawn = time;
      this.#draw();
    }
    if (!moving || document.visibilityState !== "visible") return;
    this.#running = true;
    requestAnimationFrame((next) => this.#frame(next));
  }

  /** Whether the picture changes though nothing happens. */
  #isMoving() {
    if (this.#player?.playing != null) return true;
    const [now, soon] = [this.#now(), this.#now() + 1_000];
    return this.#journal.edgeMs(soon) > this.#journal.edgeMs(now);
  }

  #draw() {
    const ready = blank(this.#canvas);
    if (ready === null) return;
    this.#theme ??= readTheme();
    const scene = {
      journal: this.#journal,
      sound: this.#sound,
      ...this.#view(),
      edgeMs: this.#edgeMs(),
      chosen: this.#chosen,
      playMs: this.#player?.positionMs ?? null,
    };
    drawTimeline(ready.pen, ready.box, scene, this.#theme);
  }

  #press(event) {
    if (event.button !== 0) return;
    this.#canvas.setPointerCapture(event.pointerId);
    this.#drag = { x: event.clientX, toMs: this.#view().toMs, moved: false };
  }

  #pull(event) {
    if (this.#drag === null) return;
    const pulled = event.clientX - this.#drag.x;
    if (Math.abs(pulled) < 4 && !this.#drag.moved) return;
    this.#drag.moved = true;
    this.#moveTo(this.#drag.toMs - (pulled / this.#canvas.clientWidth) * this.spanMs);
    this.#onMove();
    this.change();
  }

  #release(event) {
    const drag = this.#drag;
    this.#drag = null;
    if (drag === null || drag.moved || this.#journal === null) return;
    const { fromMs, toMs } = this.#view();
    const at = fromMs + (event.offsetX / this.#canvas.clientWidth) * this.spanMs;
    const near = (6 / this.#canvas.clientWidth) * this.spanMs; // a finger is broad
    const one = visible(this.#journal, fromMs, toMs, this.#edgeMs()).find(
      ({ startMs, endMs, final }) => final && startMs - near <= at && at <= endMs + near,
    );
    if (one === undefined) return;
    this.choose(one.key);
    this.#onHear(one.key);
  }

  #wheel(event) {
    if (event.ctrlKey) {
      event.preventDefault();
      this.zoom(Math.sign(event.deltaY));
    } else if (event.deltaX !== 0 || event.shiftKey) {
      event.preventDefault();
      const by = event.deltaX || event.deltaY;
      this.#moveTo(this.#view().toMs + (by / this.#canvas.clientWidth) * this.spanMs);
      this.#onMove();
      this.change();
    }
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const act = {
      ArrowLeft: () => this.#step(-1),
      ArrowRight: () => this.#step(1),
      PageUp: () => this.#step(-10),
      PageDown: () => this.#step(10),
      Home: () => this.#step(-Infinity),
      End: () => this.#step(Infinity),
      Enter: () => this.#chosen !== null && this.#onHear(this.#chosen),
      " ": () => this.#chosen !== null && this.#onHear(this.#chosen),
      Escape: () => this.choose(null),
      "+": () => this.zoom(-1),
      "-": () => this.zoom(1),
    }[event.key];
    if (act === undefined) return;
    event.preventDefault();
    act();
  }

  #step(by) {
    const finals = this.#journal?.finals ?? [];
    if (finals.length === 0) return;
    const at = finals.findLastIndex(({ key }) => key === this.#chosen);
    const from = at === -1 ? (by < 0 ? finals.length : -1) : at;
    const next = Math.max(0, Math.min(finals.length - 1, from + by));
    this.choose(finals[next].key);
  }

  /** For a screen reader: which of how many, and what it is. */
  #tell(one) {
    const count = this.#journal?.finals.length ?? 0;
    const canvas = this.#canvas;
    canvas.setAttribute("aria-valuemin", "0");
    canvas.setAttribute("aria-valuemax", String(count));
    const place = one === null ? 0 : this.#journal.finals.lastIndexOf(one) + 1;
    canvas.setAttribute("aria-valuenow", String(place));
    const said =
      one === null
        ? "none chosen"
        : `${title(one.label)}, ${percent(one.confidence)}, at ${clock(one.startMs)}: ${one.text || "no words"}`;
    canvas.setAttribute("aria-valuetext", said);
  }

  /** How many there are may have changed. */
  count() {
    this.#tell(this.#find(this.#chosen));
  }
}
