/** A recording as an async source of blocks, decoded by the browser. */

const browserClock = () => ({ now: () => performance.now(), setTimeout: (run, ms) => setTimeout(run, ms) });

/**
 * A recording as mono blocks of Float32 samples.
 *
 * @param {Blob} file
 * @param {object} [settings]
 * @param {number} [settings.pace]  1: real time, 2: twice as fast; Infinity: as fast as it is read.
 * @param {number} [settings.sampleRate]  The recording is resampled to this.
 * @param {number} [settings.blockMs]
 * @param {AbortSignal} [settings.signal]
 * @param {(ms: number) => void} [settings.onLength]  Called with its length before the first block.
 * @param {Pick<import("./client.d.ts").Platform, "now" | "setTimeout">} [settings.platform]
 * @returns {AsyncGenerator<Float32Array, void, void>}
 */
export async function* fileBlocks(
  file,
  { pace = 1, sampleRate = 16_000, blockMs = 100, signal, onLength, platform = browserClock() } = {},
) {
  if (!(pace > 0)) throw new RangeError(`expected pace to be above 0, got ${pace}`);
  const samples = await decode(file, sampleRate);
  if (signal?.aborted) return;
  onLength?.((samples.length * 1_000) / sampleRate);
  const frames = Math.max(1, Math.round((sampleRate * blockMs) / 1_000));
  const startedAt = platform.now();
  for (let first = 0; first < samples.length && !signal?.aborted; first += frames) {
    const block = samples.subarray(first, first + frames);
    // A live block would be complete when its last sample was recorded.
    const dueMs = ((first + block.length) * 1_000) / sampleRate / pace;
    const earlyMs = dueMs - (platform.now() - startedAt);
    if (earlyMs > 0) await new Promise((resolve) => platform.setTimeout(resolve, earlyMs));
    if (!signal?.aborted) yield block;
  }
}

/** Mono samples; channels are averaged. */
async function decode(file, sampleRate) {
  const data = await file.arrayBuffer();
  let audio;
  try {
    // An offline context needs neither a click nor an output device.
    audio = await new OfflineAudioContext(1, 1, sampleRate).decodeAudioData(data);
  } catch (error) {
    const message = `expected a recording that this browser can decode, got ${file.name ?? "another"}`;
    throw new Error(message, { cause: error });
  }
  const channels = Array.from({ length: audio.numberOfChannels }, (_, i) => audio.getChannelData(i));
  if (channels.length === 1) return channels[0];
  return channels[0].map((_, i) => channels.reduce((sum, channel) => sum + channel[i], 0) / channels.length);
}
