/**
 * A session of the page itself: this browser's microphone, or a recording, sent to the server. What comes back
 * is reported in the same form as for a stream of the server (see stream_subscriber.js).
 *
 * @typedef {{kind: "microphone" | "recording", title: string, note: string}} LocalSource
 * @typedef {import("./stream_subscriber.js").Report} Report
 */
import { UNAUTHORIZED } from "./backoff.js";
import { AudioGap, EmostreamClient, fileBlocks, microphone } from "./client.js";
import { readEvent } from "./events.js";
import { socketAddress } from "./stream_subscriber.js";

const FILE_RATE_HZ = 16_000;
const LEARN_MS = 15_000;
const LEARN_PIECE_MS = 3_000; // talk without pauses counts for several utterances
const MICROPHONE_QUEUE_MS = 60_000; // of audio that waits while the server is gone
const CAPTURE = {
  running: "",
  interrupted: "the microphone is interrupted, for instance by a call",
  muted: "the microphone is muted",
  silent: "no audio comes from the microphone",
};
let sessionCount = 0;

export class LocalSession {
  #report;
  #settings;
  #onAudio;
  #source;
  #client = null;
  #abort = new AbortController(); // ends the source
  #learnMs = Infinity; // when enough was said to learn the voice
  #phase = null;
  #offsetMs = 0;
  #sentMs = 0;
  #isTimed = true; // whether the times of results are latencies

  /**
   * @param {object} settings
   * @param {string} settings.base  The page's address.
   * @param {string | null} settings.token
   * @param {(report: Report) => void} settings.report
   * @param {(fromMs: number, samples: Float32Array, rateHz: number) => void} settings.onAudio  Called with
   *   all audio that is sent.
   */
  constructor({ base, token, report, onAudio }) {
    this.#settings = { url: socketAddress(base), token: token ?? undefined };
    this.#report = report;
    this.#onAudio = onAudio;
    this.name = `local ${++sessionCount}`;
  }

  /**
   * Send the microphone's audio until `stop()`. Throws MicrophoneError.
   *
   * @param {string} [deviceId]
   * @param {import("./client.d.ts").EnrolledVoice | null} [voice]  Of the person who speaks, if it is known.
   */
  async sendMicrophone(deviceId, voice = null) {
    this.#settings.speaker = voice ?? undefined;
    await this.#sendMicrophone(deviceId);
  }

  /**
   * Send fifteen seconds of the microphone's audio; the event `closed` brings the voice. Throws
   * MicrophoneError.
   *
   * @param {string} [deviceId]
   */
  async learnVoice(deviceId) {
    this.#settings.options = { return_speaker: true, adapt: "stream", max_utterance_ms: LEARN_PIECE_MS };
    this.#learnMs = LEARN_MS;
    await this.#sendMicrophone(deviceId);
  }

  async #sendMicrophone(deviceId) {
    const onState = (state) => this.#onCaptureState(state);
    const audio = await microphone({ deviceId, signal: this.#abort.signal, onState });
    this.#source = { kind: "microphone", title: audio.label || "Microphone", note: "The microphone of this browser" };
    this.#connect({ sampleRate: audio.sampleRate, queueMs: MICROPHONE_QUEUE_MS });
    await this.#send(audio, audio.sampleRate);
  }

  /**
   * Send a recording, to its end or until `stop()`. Throws if this browser cannot decode it.
   *
   * @param {File} file
   * @param {object} settings
   * @param {number} settings.pace  1: real time; Infinity: as fast as the server takes it.
   * @param {(ms: number) => void} settings.onLength
   */
  async sendFile(file, { pace, onLength }) {
    const { signal } = this.#abort;
    this.#isTimed = Number.isFinite(pace);
    const blocks = fileBlocks(file, { pace, sampleRate: FILE_RATE_HZ, signal, onLength });
    const first = await blocks.next(); // connect only once the file turns out to be decodable
    if (signal.aborted) return;
    if (first.done) throw new Error(`expected audio in ${file.name}, got none`);
    this.#source = { kind: "recording", title: file.name, note: "A recording from this browser" };
    this.#connect({ sampleRate: FILE_RATE_HZ, whenFull: "wait" });
    await this.#send(chained(first.value, blocks), FILE_RATE_HZ);
  }

  /** End of the audio: the last finals still arrive. */
  stop() {
    this.#abort.abort();
  }

  /** End at once: audio that is not classified yet is given up. */
  cancel() {
    this.stop();
    this.#client?.close();
  }

  /** End at once, without any further report. */
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
      onEvent: (wire) => this.#onEvent(wire),
      onState: (state) => this.#onState(state),
    });
  }

  async #send(blocks, rateHz) {
    let finished = false;
    this.#client.finished.then(() => (finished = true));
    try {
      for await (const block of blocks) {
        if (finished) break;
        if (block instanceof AudioGap) {
          this.#sentMs += block.ms;
        } else {
          this.#onAudio(this.#sentMs, block, rateHz);
          this.#sentMs += (block.length * 1_000) / rateHz;
        }
        await this.#client.send(block);
        if (this.#sentMs >= this.#learnMs) break;
      }
    } finally {
      this.#abort.abort(); // of a microphone that is not to be read any longer
      this.#client.stop(); // also when the microphone is gone: what was sent so far is classified
      if (!finished && this.#phase === "live") this.#reportPhase("stopping");
      await this.#client.finished;
    }
  }

  #onCaptureState(state) {
    if (this.#phase === "live") this.#reportPhase("live", CAPTURE[state]);
  }

  #onEvent(wire) {
    const event = readEvent(wire);
    // Sent faster than it was spoken, a recording waits for the models: that time is no latency.
    if (event?.type === "emotion" && !this.#isTimed) event.timing = null;
    if (event !== null) this.#report({ kind: "event", event, wire, offsetMs: this.#offsetMs });
  }

  #onState(state) {
    switch (state.phase) {
      case "connecting":
        return this.#reportPhase("connecting");
      case "live":
        this.#offsetMs = state.offsetMs;
        this.#onEvent(state.ready);
        return this.#reportPhase("live");
      case "lost":
        return this.#report({ kind: "session_lost", ms: state.lostAudioMs });
      case "reconnecting":
        return this.#reportPhase("reconnecting", state.message, state.delayMs);
      case "refused":
        this.#reportPhase("refused", state.message || `the server closed with ${state.code}`);
        if (state.code === UNAUTHORIZED) {
          this.#report({ kind: "token_required", wrong: this.#settings.token !== undefined });
        }
        return;
      case "ended":
        return this.#reportPhase("ended", state.error?.message ?? "");
      case "closed":
        return this.#reportPhase("stopped");
    }
  }

  #reportPhase(phase, message = "", delayMs = null) {
    this.#phase = phase;
    this.#report({ kind: "phase", phase, stream: this.name, delayMs, message, local: this.#source });
  }
}

async function* chained(first, rest) {
  yield first;
  yield* rest;
}
