/** The sound of a server's stream: fetched when it is wanted, and once. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { AudioRingBuffer } from "../../../demo/audio_buffer.js";
import { ServerAudio } from "../../../demo/server_audio.js";

const RATE = 1_000; // a sample a millisecond

/** A stream of so many milliseconds whose sample n is n / 32768, of which the last `keptMs` are kept. */
function stream({ lengthMs, keptMs, offsetMs = 0 }) {
  const buffer = new AudioRingBuffer(RATE);
  const requests = [];
  const world = { lengthMs };
  const grow = (ms) => {
    buffer.writePeaks(offsetMs, 20, new Uint8Array(ms / 20).fill(9));
    world.lengthMs = ms;
  };
  grow(lengthMs);
  const fetch = async (fromMs, toMs) => {
    requests.push([fromMs, toMs]);
    const from = Math.max(fromMs, world.lengthMs - keptMs);
    const to = Math.min(toMs, world.lengthMs);
    if (from >= to) return null;
    return { fromMs: from, samples: Float32Array.from({ length: to - from }, (_, i) => (from + i) / 32_768) };
  };
  return { audio: new ServerAudio({ buffer, fetch, keptMs, offsetMs }), buffer, requests, grow };
}

const values = (samples) => [...samples].map((value) => Math.round(value * 32_768));

test("nothing is fetched before it is wanted, and nothing twice", async () => {
  const { audio, requests } = stream({ lengthMs: 10_000, keptMs: 60_000 });
  assert.equal(audio.has(2_000, 3_000), true);
  assert.deepEqual(requests, []);
  await audio.load(2_000, 3_000);
  await audio.load(2_000, 3_000);
  await audio.load(2_500, 2_700);
  assert.deepEqual(requests, [[2_000, 3_000]]);
  assert.deepEqual(values(audio.read(2_990, 3_000)), [2990, 2991, 2992, 2993, 2994, 2995, 2996, 2997, 2998, 2999]);
  await audio.load(1_500, 3_500); // what is here already is left out, as far as it is at the beginning
  assert.deepEqual(requests.slice(1), [[1_500, 3_500]]);
});

test("long spans come in pieces", async () => {
  const { audio, requests } = stream({ lengthMs: 50_000, keptMs: 60_000 });
  await audio.load(0, 50_000);
  assert.deepEqual(requests, [
    [0, 20_000],
    [20_000, 40_000],
    [40_000, 50_000],
  ]);
  assert.equal(audio.soundUntil(0), 50_000);
});

test("only what the server keeps can be played", async () => {
  const { audio, requests } = stream({ lengthMs: 30_000, keptMs: 10_000 });
  assert.equal(audio.fromMs, 20_000);
  assert.equal(audio.has(1_000, 5_000), false);
  assert.equal(audio.has(19_000, 21_000), true);
  assert.equal(audio.has(31_000, 32_000), false);
  await audio.load(19_000, 21_000); // its first second is silent
  assert.deepEqual(values(audio.read(19_998, 20_002)), [0, 0, 20_000, 20_001]);
  await audio.load(1_000, 2_000);
  assert.deepEqual(requests.at(-1), [1_000, 2_000]); // it ends, though nothing came
  const none = stream({ lengthMs: 30_000, keptMs: 0 });
  assert.equal(none.audio.isKept, false);
  assert.equal(none.audio.has(29_000, 30_000), false);
});

test("of a session that began later only its own part is there", async () => {
  const { audio, requests } = stream({ lengthMs: 5_000, keptMs: 60_000, offsetMs: 40_000 });
  assert.equal(audio.has(39_000, 39_500), false);
  assert.equal(audio.has(41_000, 42_000), true);
  await audio.load(41_000, 42_000);
  assert.deepEqual(requests, [[1_000, 2_000]]);
  assert.deepEqual(values(audio.read(41_000, 41_002)), [1_000, 1_001]);
});

test("a listener gets what comes, half a second at a time, and not minutes ahead", async () => {
  const { audio, requests, grow } = stream({ lengthMs: 1_000, keptMs: 600_000 });
  await audio.want(0);
  assert.equal(audio.soundUntil(0), 1_000);
  grow(1_400);
  await audio.want(200);
  assert.equal(requests.length, 1);
  grow(1_500);
  await Promise.all([audio.want(200), audio.want(200)]); // one request at a time
  assert.deepEqual(requests.slice(1), [[1_000, 1_500]]);
  grow(120_000);
  await audio.want(1_000);
  await audio.want(1_000);
  assert.deepEqual(requests.slice(2), [[1_500, 21_500]]);
});

test("the waveform alone is no sound", () => {
  const { buffer } = stream({ lengthMs: 1_000, keptMs: 0 });
  assert.ok(Math.abs(buffer.peak(0, 1_000) - (9 / 255) ** 2) < 1e-9);
  assert.equal(buffer.has(0, 1_000), false);
  assert.equal(buffer.endMs, 1_000);
});
