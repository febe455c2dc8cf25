/** The microphone of this browser as an async source of blocks. Needs worklet.js beside this file. */

import { CaptureMonitor } from "./capture_monitor.js";

const BLOCK_MS = 20;
const CHECK_MS = 1_000;
const MAX_UNREAD_BLOCKS = 500; // ten seconds
const MAX_RATE_HZ = 96_000;

// Prosody and loudness carry the emotion, and these change both.
const UNPROCESSED = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };

/** Why there is no audio from the microphone. `code` is stable. */
export class MicrophoneError extends Error {
  /**
   * @param {"refused" | "missing" | "gone" | "busy" | "insecure" | "unread" | "failed"} code
   * @param {string} message
   * @param {unknown} [cause]
   */
  constructor(code, message, cause) {
    super(message, { cause });
    this.name = "MicrophoneError";
    this.code = code;
  }
}

const MISSING = ["missing", "expected a microphone, found none; connect one, or choose another"];
const REFUSED = ["refused", "expected permission to record, got none; allow this page the microphone in the browser"];
const ERRORS = {
  NotAllowedError: REFUSED,
  SecurityError: REFUSED,
  NotFoundError: MISSING,
  OverconstrainedError: MISSING,
  NotReadableError: ["busy", "expected a free microphone, got a busy one; close the program that uses it"],
};

/**
 * Open the microphone: an async source of mono blocks of Float32 samples at `sampleRate`, to be read once. Where
 * the system takes the microphone away for a time (a phone call, a switch that mutes it), an AudioGap takes the
 * place of the blocks. Throws MicrophoneError. Must be called from a click, or the browser suspends the audio.
 *
 * @param {object} [settings]
 * @param {string} [settings.deviceId]  One of `navigator.mediaDevices.enumerateDevices()`.
 * @param {AbortSignal} [settings.signal]  Ends the source as `stop()` does.
 * @param {MediaTrackConstraints} [settings.constraints]  In addition to unprocessed mono audio.
 * @param {(state: import("./client.d.ts").CaptureState) => void} [settings.onState]  Called where no audio comes,
 *   and where it comes again.
 * @returns {Promise<import("./client.d.ts").Microphone>}
 */
export async function microphone({ deviceId, signal, constraints = {}, onState = () => {} } = {}) {
  signal?.throwIfAborted();
  const audio = { channelCount: 1, ...UNPROCESSED, ...constraints };
  if (deviceId !== undefined) audio.deviceId = { exact: deviceId };
  const stream = await getUserAudio(audio, signal);
  const blocks = new BlockQueue();
  let context = null;
  let stopWatching = () => {};
  const stop = () => {
    signal?.removeEventListener("abort", stop);
    stopWatching();
    for (const track of stream.getTracks()) track.stop();
    if (context !== null && context.state !== "closed") context.close();
    blocks.end();
  };
  blocks.onReturn = stop;
  signal?.addEventListener("abort", stop);
  try {
    signal?.throwIfAborted();
    context = createContext();
    stopWatching = await capture(context, stream, blocks, onState);
    signal?.throwIfAborted();
  } catch (error) {
    stop();
    if (signal?.aborted) throw signal.reason;
    throw new MicrophoneError("failed", `expected audio from the microphone, got: ${error.message}`, error);
  }
  const [track] = stream.getAudioTracks();
  track.onended = () => {
    blocks.end(new MicrophoneError("gone", "expected the microphone to stay, got none; was it unplugged?"));
    stop();
  };
  return { sampleRate: context.sampleRate, label: track.label, stop, [Symbol.asyncIterator]: () => blocks };
}

async function getUserAudio(audio, signal) {
  if (!globalThis.navigator?.mediaDevices) {
    const message = "expected a page over https or from localhost, got another: browsers give it no microphone";
    throw new MicrophoneError("insecure", message);
  }
  const request = navigator.mediaDevices.getUserMedia({ audio });
  try {
    return await abortable(request, signal);
  } catch (error) {
    if (signal?.aborted) {
      // The user may still grant it: the stream is then closed at once.
      request.then(
        (stream) => stream.getTracks().forEach((track) => track.stop()),
        () => {},
      );
      throw signal.reason;
    }
    const [code, message] = ERRORS[error.name] ?? ["failed", `expected a microphone, got: ${error.message}`];
    throw new MicrophoneError(code, message, error);
  }
}

/** The promise's result, or a rejection as soon as the signal is aborted. */
function abortable(promise, signal) {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason);
    signal.addEventListener("abort", stop, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", stop));
  });
}

/** At the audio device's own rate, unless that is more than the protocol allows. */
function createContext() {
  const context = new AudioContext();
  if (context.sampleRate <= MAX_RATE_HZ) return context;
  context.close();
  return new AudioContext({ sampleRate: 48_000 });
}

/** Returns the function that ends the watch over the capture. */
async function capture(context, stream, blocks, onState) {
  await context.audioWorklet.addModule(new URL("./worklet.js", import.meta.url));
  const frames = Math.round((context.sampleRate * BLOCK_MS) / 1_000);
  const node = new AudioWorkletNode(context, "emostream-blocks", { processorOptions: { frames } });
  const monitor = new CaptureMonitor({
    push: (item) => blocks.push(item),
    onState,
    now: () => performance.now(),
    audioNow: () => context.currentTime * 1_000,
    rateHz: context.sampleRate,
  });
  node.port.onmessage = ({ data: { block, endFrame } }) => monitor.block(block, endFrame);
  // It outputs silence, but a node without a destination need not be run.
  context.createMediaStreamSource(stream).connect(node).connect(context.destination);
  await context.resume();
  return watch(context, stream.getAudioTracks()[0], monitor);
}

/** Tell the monitor when the system takes the microphone away and gives it back, and ask for it again. */
function watch(context, track, monitor) {
  const tryAgain = () => {
    if (context.state === "running" || context.state === "closed") return;
    // Refused while the interruption lasts; then the next change of state, or second, asks again.
    context.resume().catch(() => {});
  };
  const onStateChange = () => {
    monitor.setInterrupted(context.state !== "running");
    tryAgain();
  };
  const onMute = () => monitor.setMuted(track.muted);
  const timer = setInterval(() => {
    monitor.tick();
    tryAgain();
  }, CHECK_MS);
  context.addEventListener("statechange", onStateChange);
  track.addEventListener("mute", onMute);
  track.addEventListener("unmute", onMute);
  monitor.setMuted(track.muted === true);
  return () => {
    clearInterval(timer);
    context.removeEventListener("statechange", onStateChange);
    track.removeEventListener("mute", onMute);
    track.removeEventListener("unmute", onMute);
  };
}

/**
 * Blocks and gaps from a producer that cannot wait to one reader. Bounded: when it is full it ends with the
 * error `unread`.
 */
class BlockQueue {
  onReturn = () => {};
  #blocks = [];
  #readers = []; // at most one, unless next() is called twice
  #ended = false;
  #error = null;

  push(block) {
    if (this.#ended) return;
    if (this.#readers.length > 0) return this.#readers.shift()({ value: block, done: false });
    if (this.#blocks.push(block) <= MAX_UNREAD_BLOCKS) return;
    const length = `${(MAX_UNREAD_BLOCKS * BLOCK_MS) / 1_000} s`;
    this.end(new MicrophoneError("unread", `expected the audio to be read, got ${length} of unread blocks`));
    this.onReturn();
  }

  end(error = null) {
    if (this.#ended) return;
    this.#ended = true;
    this.#error = error;
    for (const resolve of this.#readers.splice(0)) resolve(this.next());
  }

  next() {
    if (this.#blocks.length > 0) return Promise.resolve({ value: this.#blocks.shift(), done: false });
    if (this.#error !== null) {
      const error = this.#error;
      this.#error = null; // thrown once
      return Promise.reject(error);
    }
    if (this.#ended) return Promise.resolve({ value: undefined, done: true });
    return new Promise((resolve) => this.#readers.push(resolve));
  }

  return() {
    this.onReturn();
    this.#blocks.length = 0;
    return Promise.resolve({ value: undefined, done: true });
  }

  [Symbol.asyncIterator]() {
    return this;
  }
}
