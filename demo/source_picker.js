/** The choice of a source: the server's streams, this browser's microphone, a recording. */
import { MicrophoneError } from "./client.js";
import { element } from "./dom.js";
import { counted, wholeClock } from "./format.js";

const SILENT_DB = -90;
const METER_MIN_DB = -60;
const MUTED_AFTER_MS = 4_000; // of digital silence, which a quiet room never gives

const MICROPHONE_ERRORS = {
  refused: "The browser does not allow this page to use the microphone. Allow it next to the address, then try again.",
  missing: "No microphone was found. Connect one, or choose another.",
  gone: "The microphone is gone: was it unplugged? What was recorded before is still analyzed.",
  unread: "The page could not keep up with the microphone. What was recorded before is still analyzed.",
  busy: "Another program uses the microphone. Close it, then try again.",
  insecure: "Browsers give a microphone only to pages over https or from localhost. Open this page in one of these two ways.",
};

export class SourcePicker {
  #part = (id) => document.getElementById(id);
  #choices = [...document.querySelectorAll('input[name="source"]')];
  #callbacks;
  #running = null; // "microphone" or "recording" while one is being sent
  #stage = "on";
  #levelDb = 0;
  #silentMs = 0;
  #drawScheduled = false;
  #sentMs = 0;
  #lengthMs = null;

  /**
   * @param {object} callbacks
   * @param {(deviceId: string | undefined) => void} callbacks.onMicrophone
   * @param {(deviceId: string | undefined) => void} callbacks.onLearnVoice
   * @param {() => void} callbacks.onForgetVoice
   * @param {(file: File, pace: number) => void} callbacks.onRecording
   * @param {() => void} callbacks.onStop
   */
  constructor(callbacks) {
    this.#callbacks = callbacks;
    for (const choice of this.#choices) choice.addEventListener("change", () => this.#showPanel(choice.value));
    this.#part("microphone-button").addEventListener("click", () => this.#toggleMicrophone());
    this.#part("voice-learn").addEventListener("click", () => {
      this.clearErrors();
      this.#callbacks.onLearnVoice(this.#device);
    });
    this.#part("voice-forget").addEventListener("click", () => this.#callbacks.onForgetVoice());
    this.#part("recording-stop").addEventListener("click", () => this.#callbacks.onStop());
    this.#part("recording-button").addEventListener("click", () => this.#part("recording-file").click());
    this.#part("recording-file").addEventListener("change", ({ target }) => {
      const [file] = target.files;
      target.value = ""; // so that the same file can be selected again
      if (file) this.#sendFile(file);
    });
    this.#acceptDrops();
    navigator.mediaDevices?.addEventListener?.("devicechange", () => this.listDevices());
    this.#showPanel(this.selected);
  }

  get selected() {
    return this.#choices.find(({ checked }) => checked)?.value ?? "server";
  }

  /** @param {"server" | "microphone" | "recording"} name */
  select(name) {
    for (const choice of this.#choices) choice.checked = choice.value === name;
    this.#showPanel(name);
  }

  /**
   * @param {"microphone" | "recording" | null} kind  The page's own source that is being sent; null: none.
   * @param {"asking" | "on" | "ending"} [stage]
   */
  setRunning(kind, stage = "on") {
    if (kind !== this.#running) {
      this.#levelDb = this.#silentMs = this.#sentMs = 0;
      this.#lengthMs = null;
    }
    this.#running = kind;
    this.#stage = stage;
    const stop = stage === "ending" ? "Cancel" : "Stop";
    const isMicrophone = kind === "microphone";
    this.#part("microphone-button").textContent = isMicrophone ? stop : "Start the microphone";
    this.#part("microphone-button").classList.toggle("primary", !isMicrophone);
    this.#part("microphone-device").disabled = isMicrophone;
    this.#part("voice-learn").disabled = this.#part("voice-forget").disabled = isMicrophone;
    this.#part("meter-line").hidden = !isMicrophone;
    this.#part("recording-stop").hidden = kind !== "recording";
    this.#part("recording-stop").textContent = stop;
    this.#part("recording-progress-line").hidden = kind !== "recording";
    this.#draw();
  }

  /**
   * @param {number | null} utterances  Behind the voice that this browser has learned; null: none.
   * @param {string} [hint]  What to do, or what went wrong.
   */
  showVoice(utterances, hint = "") {
    this.#part("voice-learn").textContent = utterances === null ? "Learn my voice" : "Learn my voice again";
    this.#part("voice-forget").hidden = utterances === null;
    const known = utterances === null ? "" : `This browser knows your voice: ${counted(utterances)}.`;
    this.#part("voice-words").textContent = hint || known;
  }

  /** @param {boolean} shown  Whether a session of the page itself is shown instead of a stream. */
  setLocalShown(shown) {
    this.#part("server-line").hidden = !shown;
  }

  /** @param {unknown} error  Why there is no audio. */
  showError(error) {
    const kind = this.selected === "recording" ? "recording" : "microphone";
    const known = error instanceof MicrophoneError ? MICROPHONE_ERRORS[error.code] : undefined;
    this.#part(`${kind}-error`).textContent = known ?? error.message;
  }

  clearErrors() {
    this.#part("microphone-error").textContent = this.#part("recording-error").textContent = "";
  }

  /** @param {number} ms  Length of the recording. */
  setLength(ms) {
    this.#lengthMs = ms;
    this.#draw();
  }

  /**
   * Show the level and the progress of audio that was sent.
   *
   * @param {Float32Array} samples
   * @param {number} ms  Their length.
   */
  addAudio(samples, ms) {
    let sum = 0;
    for (const x of samples) sum += x * x;
    const db = sum > 0 ? 10 * Math.log10(sum / samples.length) : SILENT_DB;
    this.#levelDb = Math.max(db, this.#levelDb - ms / 40); // it falls 25 dB a second
    this.#silentMs = db <= SILENT_DB ? this.#silentMs + ms : 0;
    this.#sentMs += ms;
    if (this.#drawScheduled) return;
    this.#drawScheduled = true;
    requestAnimationFrame(() => {
      this.#drawScheduled = false;
      this.#draw();
    });
  }

  #draw() {
    this.#part("meter").value = Math.max(METER_MIN_DB, Math.min(0, this.#running ? this.#levelDb : METER_MIN_DB));
    const muted = this.#running === "microphone" && this.#silentMs > MUTED_AFTER_MS;
    const asking = this.#running === "microphone" && this.#stage === "asking";
    const silent = muted ? "The microphone is silent: is it muted?" : "";
    const hint = asking ? "The browser asks for permission to use the microphone." : silent;
    if (this.#part("meter-words").textContent !== hint) this.#part("meter-words").textContent = hint;
    const progress = this.#part("recording-progress");
    if (this.#lengthMs !== null) {
      progress.max = this.#lengthMs;
      progress.value = this.#sentMs;
      const text = `${wholeClock(this.#sentMs)} of ${wholeClock(this.#lengthMs)}`;
      this.#part("recording-progress-words").textContent = text;
    } else {
      progress.removeAttribute("value");
      this.#part("recording-progress-words").textContent = "Decoding";
    }
  }

  /** Browsers name devices only to pages with permission, so call it again once permission is granted. */
  async listDevices() {
    const found = (await navigator.mediaDevices?.enumerateDevices?.()) ?? [];
    const named = found.filter(({ kind, deviceId }) => kind === "audioinput" && deviceId && deviceId !== "default");
    const select = this.#part("microphone-device");
    const selected = select.value;
    const options = named.map(({ deviceId, label }, i) =>
      element("option", { value: deviceId }, [label || `Microphone ${i + 1}`]),
    );
    select.replaceChildren(element("option", { value: "" }, ["System default"]), ...options);
    if (named.some(({ deviceId }) => deviceId === selected)) select.value = selected;
  }

  #showPanel(name) {
    for (const part of ["server", "microphone", "recording"]) this.#part(`source-${part}`).hidden = part !== name;
    this.clearErrors();
    if (name === "microphone") {
      this.listDevices();
      if (!navigator.mediaDevices) this.showError(new MicrophoneError("insecure", ""));
    }
  }

  #toggleMicrophone() {
    if (this.#running === "microphone") return this.#callbacks.onStop();
    this.clearErrors();
    this.#callbacks.onMicrophone(this.#device);
  }

  /** Undefined: the system's. */
  get #device() {
    return this.#part("microphone-device").value || undefined;
  }

  #sendFile(file) {
    this.select("recording");
    this.#callbacks.onRecording(file, this.#part("recording-pace").value === "fast" ? Infinity : 1);
  }

  /** Files may be dropped anywhere on the page. */
  #acceptDrops() {
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
      if (file) this.#sendFile(file);
    });
  }
}
