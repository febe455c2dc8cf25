/** The choice of what is listened to: the server's streams, this browser's microphone, a recording. */
import { MicrophoneError } from "./client.js";
import { element } from "./dom.js";
import { wholeClock } from "./format.js";

const SILENT_DB = -90;
const QUIET_DB = -60;
const UNHEARD_MS = 4_000; // of digital silence: a muted microphone, not a quiet room

const MICROPHONE_WORDS = {
  refused: "The browser does not let this page hear the microphone. Allow it beside the address, then try again.",
  missing: "No microphone was found. Connect one, or choose another.",
  gone: "The microphone is gone: was it unplugged? What was said before is judged.",
  unread: "The page could not keep up with the microphone. What was said before is judged.",
  busy: "Another program holds the microphone. Close it, then try again.",
  insecure: "Browsers give a microphone only to pages over https or from localhost. Open this page in one of these ways.",
};

export class Sources {
  #part = (id) => document.getElementById(id);
  #choices = [...document.querySelectorAll('input[name="source"]')];
  #act;
  #running = null; // "microphone" or "recording" while one goes on
  #ending = false;
  #stage = "on";
  #level = 0;
  #unheardMs = 0;
  #drawn = false;
  #heardMs = 0;
  #lengthMs = null;

  /**
   * @param {object} act
   * @param {(deviceId: string | undefined) => void} act.onMicrophone
   * @param {(file: File, pace: number) => void} act.onRecording
   * @param {() => void} act.onStop
   */
  constructor(act) {
    this.#act = act;
    for (const choice of this.#choices) choice.addEventListener("change", () => this.#choose(choice.value));
    this.#part("microphone-button").addEventListener("click", () => this.#toggleMicrophone());
    this.#part("recording-stop").addEventListener("click", () => this.#act.onStop());
    this.#part("recording-button").addEventListener("click", () => this.#part("recording-file").click());
    this.#part("recording-file").addEventListener("change", ({ target }) => {
      const [file] = target.files;
      target.value = ""; // so that the same file can be chosen again
      if (file) this.#play(file);
    });
    this.#takeDrops();
    navigator.mediaDevices?.addEventListener?.("devicechange", () => this.listDevices());
    this.#choose(this.chosen);
  }

  get chosen() {
    return this.#choices.find(({ checked }) => checked)?.value ?? "server";
  }

  /** @param {"server" | "microphone" | "recording"} name */
  select(name) {
    for (const choice of this.#choices) choice.checked = choice.value === name;
    this.#choose(name);
  }

  /**
   * @param {"microphone" | "recording" | null} kind  Of the page's own sources; null: none goes on.
   * @param {"asking" | "on" | "ending"} [stage]
   */
  setRunning(kind, stage = "on") {
    if (kind !== this.#running) {
      this.#level = this.#unheardMs = this.#heardMs = 0;
      this.#lengthMs = null;
    }
    this.#running = kind;
    this.#stage = stage;
    const stop = stage === "ending" ? "Leave now" : "Stop";
    const speaks = kind === "microphone";
    this.#part("microphone-button").textContent = speaks ? stop : "Start listening";
    this.#part("microphone-button").classList.toggle("primary", !speaks);
    this.#part("microphone-device").disabled = speaks;
    this.#part("meter-line").hidden = !speaks;
    this.#part("recording-stop").hidden = kind !== "recording";
    this.#part("recording-stop").textContent = stop;
    this.#part("recording-progress-line").hidden = kind !== "recording";
    this.#draw();
  }

  /** @param {boolean} elsewhere  Whether something else than the server's streams is shown. */
  setElsewhere(elsewhere) {
    this.#part("server-line").hidden = !elsewhere;
  }

  /** @param {unknown} error  Why there is no sound. */
  tell(error) {
    const kind = this.chosen === "recording" ? "recording" : "microphone";
    const known = error instanceof MicrophoneError ? MICROPHONE_WORDS[error.code] : undefined;
    this.#part(`${kind}-error`).textContent = known ?? error.message;
  }

  clearErrors() {
    this.#part("microphone-error").textContent = this.#part("recording-error").textContent = "";
  }

  /** @param {number} ms  Of the recording. */
  setLength(ms) {
    this.#lengthMs = ms;
    this.#draw();
  }

  /**
   * What was heard, for the meter.
   *
   * @param {Float32Array} samples
   * @param {number} ms  How long they are.
   */
  hear(samples, ms) {
    let sum = 0;
    for (const x of samples) sum += x * x;
    const db = sum > 0 ? 10 * Math.log10(sum / samples.length) : SILENT_DB;
    this.#level = Math.max(db, this.#level - ms / 40); // it falls 25 dB a second
    this.#unheardMs = db <= SILENT_DB ? this.#unheardMs + ms : 0;
    this.#heardMs += ms;
    if (this.#drawn) return;
    this.#drawn = true;
    requestAnimationFrame(() => {
      this.#drawn = false;
      this.#draw();
    });
  }

  #draw() {
    this.#part("meter").value = Math.max(QUIET_DB, Math.min(0, this.#running ? this.#level : QUIET_DB));
    const muted = this.#running === "microphone" && this.#unheardMs > UNHEARD_MS;
    const asks = this.#running === "microphone" && this.#stage === "asking";
    const silent = muted ? "The microphone gives perfect silence: is it muted?" : "";
    const words = asks ? "The browser asks whether this page may listen." : silent;
    if (this.#part("meter-words").textContent !== words) this.#part("meter-words").textContent = words;
    const progress = this.#part("recording-progress");
    if (this.#lengthMs !== null) {
      progress.max = this.#lengthMs;
      progress.value = this.#heardMs;
      const said = `${wholeClock(this.#heardMs)} of ${wholeClock(this.#lengthMs)}`;
      this.#part("recording-progress-words").textContent = said;
    } else {
      progress.removeAttribute("value");
      this.#part("recording-progress-words").textContent = "Decoding";
    }
  }

  /** Names are told only to pages that may listen: asked for again when one may. */
  async listDevices() {
    const found = (await navigator.mediaDevices?.enumerateDevices?.()) ?? [];
    const named = found.filter(({ kind, deviceId }) => kind === "audioinput" && deviceId && deviceId !== "default");
    const select = this.#part("microphone-device");
    const chosen = select.value;
    const options = named.map(({ deviceId, label }, i) =>
      element("option", { value: deviceId }, [label || `Microphone ${i + 1}`]),
    );
    select.replaceChildren(element("option", { value: "" }, ["The system's default"]), ...options);
    if (named.some(({ deviceId }) => deviceId === chosen)) select.value = chosen;
  }

  #choose(name) {
    for (const part of ["server", "microphone", "recording"]) this.#part(`source-${part}`).hidden = part !== name;
    this.clearErrors();
    if (name === "microphone") {
      this.listDevices();
      if (!navigator.mediaDevices) this.tell(new MicrophoneError("insecure", ""));
    }
  }

  #toggleMicrophone() {
    if (this.#running === "microphone") return this.#act.onStop();
    this.clearErrors();
    this.#act.onMicrophone(this.#part("microphone-device").value || undefined);
  }

  #play(file) {
    this.select("recording");
    this.#act.onRecording(file, this.#part("recording-pace").value === "fast" ? Infinity : 1);
  }

  /** Anywhere on the page, so that nobody has to aim. */
  #takeDrops() {
    let inside = 0;
    const carriesFile = ({ dataTransfer }) => [...(dataTransfer?.types ?? [])].includes("Files");
    const show = (change) => {
      inside = Math.max(0, inside + change);
      document.body.classList.toggle("dropping", inside > 0);
    };
    window.addEventListener("dragenter", (event) => carriesFile(event) && show(1));
    window.addEventListener("dragleave", (event) => carriesFile(event) && show(-1));
    window.addEventListener("dragover", (event) => carriesFile(event) && event.preventDefault());
    window.addEventListener("drop", (event) => {
      if (!carriesFile(event)) return;
      event.preventDefault();
      show(-Infinity);
      const [file] = event.dataTransfer.files;
      if (file) this.#play(file);
    });
  }
}
