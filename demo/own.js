/**
 * The page's own sound: this browser's microphone, or a recording. It goes to the server as a session of its
 * own, and what comes back is told like what is watched (see protocol.js).
 *
 * @typedef {{kind: "microphone" | "recording", title: string, note: string}} OwnSource
 * @typedef {import("./protocol.js").Report} Report
 * @typedef {{kind: "lost", ms: number}} LostReport  A session that is gone took so much sound with it.
 */
import { EmostreamClient, fileBlocks, microphone } from "./client.js";
import { readEvent } from "./events.js";
import { socketAddress } from "./protocol.js";

const FILE_HZ = 16_000;
const UNAUTHORIZED = 4401;
const BRIDGED_MS = 60_000; // of microphone that waits for a server that is away
let sessions = 0;

export class OwnSession {
  #report;
  #settings;
  #onSound;
  #own;
  #client = null;
  #source = new AbortController();
  #phase = null;
  #startMs = 0;
  #heardMs = 0;

  /**
   * @param {object} settings
   * @param {string} settings.base  The page's address.
   * @param {string | null} settings.token
   * @param {(report: Report | LostReport) => void} settings.report
   * @param {(fromMs: number, samples: Float32Array, rate: number) => void} settings.onSound  Everything that is
   *   sent.
   */
  constructor({ base, token, report, onSound }) {
    this.#settings = { url: socketAddress(base), token: token ?? undefined };
    this.#report = report;
    this.#onSound = onSound;
    this.name = `own ${++sessions}`;
  }

  /**
   * Opens the microphone and sends it until `stop()`. Throws MicrophoneError where there is none.
   *
   * @param {string} [deviceId]
   */
  async listen(deviceId) {
    const sound = await microphone({ deviceId, signal: this.#source.signal });
    this.#own = { kind: "microphone", title: sound.label || "Microphone", note: "The microphone of this browser" };
    this.#connect({ sampleRate: sound.sampleRate, queueMs: BRIDGED_MS });
    await this.#send(sound, sound.sampleRate);
  }

  /**
   * Sends a recording, to its end or until `stop()`. Throws where this browser cannot decode it.
   *
   * @param {File} file
   * @param {object} settings
   * @param {number} settings.pace  1: as it was spoken; Infinity: as fast as the server takes it.
   * @param {(ms: number) => void} settings.onLength
   */
  async play(file, { pace, onLength }) {
    const { signal } = this.#source;
    const blocks = fileBlocks(file, { pace, sampleRate: FILE_HZ, signal, onLength });
    const first = await blocks.next(); // decoded, or not at all, before anybody is asked to hear it
    if (signal.aborted) return;
    if (first.done) throw new Error(`expected sound in ${file.name}, got none`);
    this.#own = { kind: "recording", title: file.name, note: "A recording from this browser" };
    this.#connect({ sampleRate: FILE_HZ, whenFull: "wait" });
    await this.#send(chained(first.value, blocks), FILE_HZ);
  }

  /** No more sound: the last finals still come. */
  stop() {
    this.#source.abort();
  }

  /** At once: what is not judged yet never will be. */
  leave() {
    this.stop();
    this.#client?.close();
  }

  /** Nobody listens any more. */
  close() {
    this.stop();
    this.#report = () => {};
    this.#client?.close();
  }

  retryNow() {
    this.#client?.retryNow();
  }

  #connect(settings) {
    this.#client = new EmostreamClient({
      ...this.#settings,
      ...settings,
      onEvent: (wire) => this.#hear(wire),
      onState: (state) => this.#follow(state),
    });
  }

  async #send(blocks, rate) {
    let over = false;
    this.#client.finished.then(() => (over = true));
    try {
      for await (const block of blocks) {
        if (over) break;
        this.#onSound(this.#heardMs, block, rate);
        this.#heardMs += (block.length * 1_000) / rate;
        await this.#client.send(block);
      }
    } finally {
      this.#client.stop(); // a microphone that is gone has been heard up to here
      if (!over && this.#phase === "live") this.#tell("stopping");
      await this.#client.finished;
    }
  }

  #hear(wire) {
    const event = readEvent(wire);
    if (event !== null) this.#report({ kind: "event", event, wire, startMs: this.#startMs });
  }

  #follow(state) {
    switch (state.phase) {
      case "connecting":
        return this.#tell("connecting");
      case "live":
        this.#startMs = state.startMs;
        this.#hear(state.ready);
        return this.#tell("live");
      case "lost":
        return this.#report({ kind: "lost", ms: state.lostAudioMs });
      case "reconnecting":
        return this.#tell("reconnecting", state.why, state.delayMs);
      case "refused":
        this.#tell("refused", state.why || `the server closed with ${state.code}`);
        if (state.code === UNAUTHORIZED) {
          this.#report({ kind: "token", wrong: this.#settings.token !== undefined });
        }
        return;
      case "ended":
        return this.#tell("ended", state.error?.message ?? "");
      case "closed":
        return this.#tell("stopped");
    }
  }

  #tell(phase, why = "", delayMs = null) {
    this.#phase = phase;
    this.#report({ kind: "phase", phase, stream: this.name, delayMs, why, own: this.#own });
  }
}

async function* chained(first, rest) {
  yield first;
  yield* rest;
}
