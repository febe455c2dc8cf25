/** The session as a whole: shares of the emotions, latency, trace, and export. */
import { element } from "./dom.js";
import { drawTrace, prepareCanvas, readTheme } from "./canvas.js";
import { download, toCsv, toJsonLines, toPng, toWebVtt } from "./export.js";
import { clock, counted, knownFrom, percent, title, usualDelay, wholeClock } from "./format.js";
import { icon } from "./icons.js";
import { turningPoints } from "./turning_points.js";

const MOST_TURNS = 6;

export class SummaryPanel {
  #part = (id) => document.getElementById(id);
  #log = null;
  #audio = null;
  #name = "";
  #shownCount = -1;
  #drawScheduled = false;

  constructor() {
    for (const format of ["jsonl", "csv", "vtt", "png"]) {
      this.#part(`save-${format}`).addEventListener("click", () => this.#save(format));
    }
    const probe = new File([], "picture.png", { type: "image/png" });
    this.#part("share-png").hidden = !(navigator.canShare?.({ files: [probe] }) ?? false);
    this.#part("share-png").addEventListener("click", () => this.#share());
    const redraw = () => this.#draw();
    new ResizeObserver(redraw).observe(this.#part("trace"));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
    matchMedia("(forced-colors: active)").addEventListener("change", redraw);
  }

  /** @param {string} name  The title of the source, used in exports. */
  show(log, audio, name) {
    this.#log = log;
    this.#audio = audio;
    this.#name = name;
    this.#shownCount = -1;
    this.update();
  }

  /** @param {string} name */
  set name(name) {
    this.#name = name;
  }

  /** Update if there are new finals. */
  update() {
    const log = this.#log;
    const count = log.finals.length + log.removed;
    if (count === this.#shownCount) return;
    this.#shownCount = count;
    this.#part("summary").hidden = count === 0;
    this.#part("trace-part").hidden = count === 0;
    if (count === 0) return;
    this.#shares(log.shares().filter(({ label, count }) => count > 0 || log.labels.includes(label)));
    const { total, afterEndpoint } = log.latency();
    const speech = log.shares().reduce((sum, { ms }) => sum + ms, 0);
    const facts = [
      ["Utterances", String(count)],
      ["Speech", clock(speech)],
      ["Of it in doubt", log.doubtfulMs > 0 ? clock(log.doubtfulMs) : null],
      ["From the end of speech to its label", total && usualDelay(total)],
      ["Of that, after the pause that ends it", afterEndpoint && usualDelay(afterEndpoint)],
      ["The model knows this voice from", knownFrom(log.finals.at(-1)?.baselineUtterances ?? null)],
    ].filter(([, value]) => value !== null);
    this.#part("summary-facts").replaceChildren(
      ...facts.flatMap(([name, value]) => [element("dt", {}, [name]), element("dd", {}, [value])]),
    );
    this.#turns(turningPoints(log.finals).slice(-MOST_TURNS));
    this.#part("removed").hidden = log.removed === 0;
    this.#part("removed").textContent =
      `The first ${counted(log.removed)} are included here, but no longer in the timeline and the exported files.`;
    this.#draw();
  }

  /** @param {import("./turning_points.js").TurningPoint[]} turns */
  #turns(turns) {
    this.#part("turns").hidden = turns.length === 0;
    const rows = turns.map(({ key, startMs, channel, from, to }) =>
      element("li", {}, [
        element("button", { type: "button", "data-select": key }, [
          coloured(from),
          element("span", {}, [`${title(from)} to ${to}${channel === null ? "" : `, channel ${channel}`}`]),
          coloured(to),
          element("span", { class: "time" }, [wholeClock(startMs)]),
        ]),
      ]),
    );
    this.#part("turns-list").replaceChildren(...rows);
  }

  #shares(shares) {
    const bar = shares.filter(({ share }) => share > 0).map(({ label, share }) => {
      const part = element("i", { "data-label": label });
      part.style.setProperty("flex-grow", String(share));
      return part;
    });
    this.#part("share-bar").replaceChildren(...bar);
    const rows = shares.map(({ label, share, ms }) =>
      element("li", { "data-label": label }, [
        icon(label),
        element("span", { class: "name" }, [title(label)]),
        element("span", { class: "share" }, [percent(share)]),
        element("span", { class: "length" }, [wholeClock(ms)]),
      ]),
    );
    this.#part("shares").replaceChildren(...rows);
  }

  /** Draw with the next frame, once. */
  #draw() {
    if (this.#drawScheduled || this.#log === null) return;
    this.#drawScheduled = true;
    requestAnimationFrame(() => {
      this.#drawScheduled = false;
      const canvas = this.#part("trace");
      const ready = prepareCanvas(canvas);
      if (ready === null) return;
      const { finals } = this.#log;
      const fromMs = this.#log.removed > 0 ? finals[0].startMs : 0;
      const toMs = finals.at(-1)?.endMs ?? 0;
      drawTrace(ready.pen, ready.box, { log: this.#log, fromMs, toMs }, readTheme());
      canvas.setAttribute("aria-label", traceDescription(this.#log.shares()));
    });
  }

  #picture() {
    return toPng(this.#log, this.#audio, this.#name, readTheme(), performance.now());
  }

  /** Hand the picture to another program of the device. */
  async #share() {
    const picture = new File([await this.#picture()], fileName("png"), { type: "image/png" });
    try {
      await navigator.share({ files: [picture], title: this.#name });
    } catch (error) {
      if (error.name !== "AbortError") throw error; // the user has thought better of it
    }
  }

  async #save(format) {
    const log = this.#log;
    const name = fileName(format);
    const text = (content, type) => download(name, new Blob([content], { type: `${type};charset=utf-8` }));
    switch (format) {
      case "jsonl":
        return text(toJsonLines(log), "application/jsonl");
      case "csv":
        return text(toCsv(log, this.#name), "text/csv");
      case "vtt":
        return text(toWebVtt(log), "text/vtt");
      case "png":
        return download(name, await this.#picture());
    }
  }
}

function fileName(format) {
  const stamp = new Date().toISOString().slice(0, 19).replaceAll(":", "-");
  return `emostream-${stamp}.${format}`;
}

/** An icon in the colour of its emotion. */
const coloured = (label) => element("span", { "data-label": label }, [icon(label)]);

function traceDescription(shares) {
  const parts = shares.filter(({ count }) => count > 0).map(({ label, share }) => `${label} ${percent(share)}`);
  return `Probability of each emotion over the session. Share of the speech: ${parts.join(", ")}.`;
}
