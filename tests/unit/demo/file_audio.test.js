/** The pace of a recording. Decoding is the browser's (tests/browser). */
import assert from "node:assert/strict";
import { test } from "node:test";

import { fileBlocks } from "../../../demo/file_audio.js";

/** As the browser decodes a file: channels of samples. */
function decodesTo(...channels) {
  globalThis.OfflineAudioContext = class {
    async decodeAudioData() {
      return { numberOfChannels: channels.length, getChannelData: (i) => channels[i] };
    }
  };
}

test("a paced recording keeps to the clock and does not drift", async () => {
  // A reader that is slow once is not slow for ever; nor is a timer that is late.
  decodesTo(new Float32Array(5 * 16_000));
  let now = 0;
  const platform = {
    now: () => now,
    setTimeout: (run, ms) => {
      now += ms + 3;
      queueMicrotask(run);
    },
  };
  const arrivals = [];
  for await (const _ of fileBlocks(new Blob([]), { pace: 2, platform })) {
    arrivals.push(now);
    if (arrivals.length === 4) now += 120;
    if (arrivals.length === 8) break;
  }
  assert.deepEqual(arrivals, [53, 103, 153, 203, 323, 323, 353, 403]);
});

test("channels are averaged, and the length is reported before the first block", async () => {
  decodesTo(new Float32Array(2_400).fill(0.5), new Float32Array(2_400).fill(-0.25));
  const seen = [];
  const settings = { pace: Infinity, onLength: (ms) => seen.push(ms) };
  for await (const block of fileBlocks(new Blob([]), settings)) seen.push([block.length, block[0]]);
  assert.deepEqual(seen, [
    150,
    [1_600, 0.125],
    [800, 0.125],
  ]);
});

test("a pace that is not above 0 is refused", async () => {
  await assert.rejects(fileBlocks(new Blob([]), { pace: 0 }).next(), {
    name: "RangeError",
    message: "expected pace to be above 0, got 0",
  });
});
