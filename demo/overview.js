/** The session as a whole: shares of time, how late labels come, the trace, and its files. */
import { element } from "./dom.js";
import { blank, drawTrace, readTheme } from "./drawing.js";
import { download, toCsv, toJsonLines, toPng, toWebVtt } from "./exports.js";
import { clock, duration, percent, title, wholeClock } from "./format.js";
import { icon } from "./icons.js";

export class Overview {
  #part = (id) => document.getElementById(id);
  #journal = null;
  #sound = null;
  #name = "";
  #shown = -1;
  #drawing = false;

  constructor() {
    for (const form of ["jsonl", "csv", "vtt", "png"]) {
      this.#part(`save-${form}`).addEventListener("click", () => this.#save(form));
    }
    const redraw = () => this.#draw();
    new ResizeObserver(redraw).observe(this.#part("trace"));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
    matchMedia("(forced-colors: active)").addEventListener("change", redraw);
  }

  /** @param {string} name  Of the source, for titles and files. */
  show(journal, sound, name) {
    this.#journal = journal;
    this.#sound = sound;
    this.#name = name;
    this.#shown = -1;
    this.change();
  }

  /** @param {string} name */
  set name(name) {
    this.#name = name;
  }

  /** Something is new. */
  change() {
    const journal = this.#journal;
    const count = journal.finals.length + journal.forgotten;
    if (count === this.#shown) return;
    this.#shown = count;
    this.#part("overview").hidden = count === 0;
    this.#part("trace-part").hidden = count === 0;
    if (count === 0) return;
    this.#shares(journal.shares().filter(({ label, count }) => count > 0 || journal.labels.includes(label)));
    const { total, decided } = journal.latency();
    const speech = journal.shares().reduce((sum, { ms }) => sum + ms, 0);
    const facts = [
      ["Utterances", String(count)],
      ["Speech", clock(speech)],
      ["From the last sound to the label", total && `p50 ${duration(total.p50)}, p95 ${duration(total.p95)}`],
      ["Once the pause was long enough", decided && `p50 ${duration(decided.p50)}, p95 ${duration(decided.p95)}`],
    ].filter(([, value]) => value !== null);
    this.#part("overview-facts").replaceChildren(
      ...facts.flatMap(([name, value]) => [element("dt", {}, [name]), element("dd", {}, [value])]),
    );
    this.#part("forgotten").hidden = journal.forgotten === 0;
    this.#part("forgotten").textContent =
      `The first ${journal.forgotten} utterances are counted here and no longer held: files begin behind them.`;
    this.#draw();
  }

  #shares(shares) {
    const bar = shares.map(({ label, share }) => {
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

  /** With the next frame, once. */
  #draw() {
    if (this.#drawing || this.#journal === null) return;
    this.#drawing = true;
    requestAnimationFrame(() => {
      this.#drawing = false;
      const canvas = this.#part("trace");
      const ready = blank(canvas);
      if (ready === null) return;
      const { finals } = this.#journal;
      const fromMs = this.#journal.forgotten > 0 ? finals[0].startMs : 0;
      const toMs = finals.at(-1)?.endMs ?? 0;
      drawTrace(ready.pen, ready.box, { journal: this.#journal, fromMs, toMs }, readTheme());
      canvas.setAttribute("aria-label", told(this.#journal.shares()));
    });
  }

  async #save(form) {
    const journal = this.#journal;
    const stamp = new Date().toISOString().slice(0, 19).replaceAll(":", "-");
    const name = `emostream-${stamp}.${form}`;
    const text = (content, type) => download(name, new Blob([content], { type: `${type};charset=utf-8` }));
    switch (form) {
      case "jsonl":
        return text(toJsonLines(journal), "application/jsonl");
      case "csv":
        return text(toCsv(journal, this.#name), "text/csv");
      case "vtt":
        return text(toWebVtt(journal), "text/vtt");
      case "png":
        return download(name, await toPng(journal, this.#sound, this.#name, readTheme(), performance.now()));
    }
  }
}

function told(shares) {
  const parts = shares.filter(({ count }) => count > 0).map(({ label, share }) => `${label} ${percent(share)}`);
  return `Probability of each emotion over the session. Share of the time: ${parts.join(", ")}.`;
}
