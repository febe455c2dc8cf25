/** The session's audio, compared with one long array of all samples. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { AudioRingBuffer } from "../../../demo/audio_buffer.js";
import { permutation, randomInt, range, seededRandom } from "../../support/demo/random.js";

const RATES = [16_000, 22_050, 44_100, 48_000];
const STEP = 1 / 32_768; // of 16-bit audio
const LEVEL = 1 / 255; // of the square root of a peak
const MAX_BYTES = 64 * 1024 * 1024;
const DAY_MS = 24 * 3_600_000;

const noise = (random, count) => Float32Array.from({ length: count }, () => 2 * random() - 1);

/** The nearest sample to a time; of two, the later. */
const sampleAt = (ms, rateHz) => Math.floor((ms * rateHz) / 1_000 + 0.5);

/** The signal in 13 pieces of random length, with the number of their first sample. */
function randomPieces(random, signal) {
  const cuts = range(12).map(() => randomInt(random, 1, signal.length));
  const bounds = [...new Set([0, ...cuts, signal.length])].sort((a, b) => a - b);
  return bounds.slice(0, -1).map((first, i) => [first, signal.subarray(first, bounds[i + 1])]);
}

function writePieces(buffer, first, pieces) {
  for (const [at, piece] of pieces) buffer.write(((first + at) * 1_000) / buffer.rateHz, piece);
}

function assertNear(found, expected, tolerance, message) {
  assert.equal(found.length, expected.length, message);
  let worst = 0;
  for (let i = 0; i < found.length; i++) worst = Math.max(worst, Math.abs(found[i] - expected[i]));
  assert.ok(worst <= tolerance, `${message ?? "difference"}: ${worst}`);
}

// Reading --------------------------------------------------------------------------------------

for (const rateHz of RATES) {
  test(`what was written is read again, at ${rateHz} Hz`, () => {
    // In random pieces, from an odd position on, read in any span: to 16 bits; zeros around it.
    const random = seededRandom(rateHz);
    const first = sampleAt(1_234.567, rateHz);
    const signal = noise(random, Math.floor(3.3 * rateHz));
    const buffer = new AudioRingBuffer(rateHz);
    writePieces(buffer, first, randomPieces(random, signal));
    const all = new Float32Array(6 * rateHz);
    all.set(signal, first);
    const spans = range(12).map(() => [6_000 * random(), 6_000 * random()].sort((a, b) => a - b));
    for (const [fromMs, toMs] of [[0, 6_000], [1_000, 1_200], [2_000, 2_000], ...spans]) {
      const expected = all.subarray(sampleAt(fromMs, rateHz), sampleAt(toMs, rateHz));
      assertNear(buffer.read(fromMs, toMs), expected, STEP, `${fromMs} to ${toMs}`);
    }
    assert.ok(Math.abs(buffer.endMs - ((first + signal.length) * 1_000) / rateHz) < 1e-6);
    assert.equal(buffer.rateHz, rateHz);
  });
}

for (const seed of range(3)) {
  test(`missing audio is silence (seed ${seed})`, () => {
    // Pieces in random order, some of which never arrive.
    const random = seededRandom(seed);
    const signal = noise(random, 80_000);
    const buffer = new AudioRingBuffer(16_000);
    const expected = new Float32Array(signal.length);
    const pieces = randomPieces(random, signal);
    for (const place of permutation(random, pieces.length).slice(0, 7)) {
      const [first, piece] = pieces[place];
      writePieces(buffer, 0, [[first, piece]]);
      expected.set(piece, first);
    }
    const written = expected.filter((x) => x !== 0).length;
    assert.ok(0 < written && written < expected.length);
    assertNear(buffer.read(0, 5_000), expected, STEP);
  });
}

test("audio that is written again replaces the old", () => {
  const buffer = new AudioRingBuffer(16_000);
  buffer.write(0, new Float32Array(16_000).fill(0.5));
  buffer.write(500, new Float32Array(4_000).fill(-0.25));
  const expected = new Float32Array(16_000).fill(0.5).fill(-0.25, 8_000, 12_000);
  assert.deepEqual(buffer.read(0, 1_000), expected);
  assert.equal(buffer.endMs, 1_000);
});

test("audio beyond full scale is clipped and does not wrap", () => {
  const buffer = new AudioRingBuffer(16_000);
  buffer.write(0, Float32Array.of(1, 3, -1, -3));
  assert.deepEqual([...buffer.read(0, 0.25)], [1 - STEP, 1 - STEP, -1, -1]);
  assert.equal(buffer.peak(0, 10), 1);
});

test("it knows whether any audio was written", () => {
  const buffer = new AudioRingBuffer(16_000);
  buffer.write(0, new Float32Array(0));
  buffer.write(-1, Float32Array.of(0.5));
  assert.deepEqual([buffer.wasWritten, buffer.endMs], [false, 0]);
  buffer.write(0, Float32Array.of(0.5));
  assert.deepEqual([buffer.wasWritten, buffer.endMs], [true, 1 / 16]);
});

test("of a stream that is days old the last day can be read", () => {
  const buffer = new AudioRingBuffer(16_000);
  const first = 3 * DAY_MS + 250;
  buffer.write(first, Float32Array.of(0.5, 0.25));
  assert.deepEqual([...buffer.read(first, first + 2 / 16)], [0.5, 0.25]);
  assert.ok(Math.abs(buffer.peak(first, first + 10) - 0.5) <= LEVEL);
  assert.equal(buffer.peak(0, 10), 0);
  buffer.write(first + DAY_MS + 1_000, Float32Array.of(0.5));
  assert.equal(buffer.endMs, first + 2 / 16);
});

// The envelope ---------------------------------------------------------------------------------

/** Of the hundredths of a second that the span touches; of its whole seconds from two seconds on. */
function loudest(all, rateHz, fromMs, toMs) {
  const unit = toMs - fromMs >= 2_000 ? 1_000 : 10;
  const [low, high] = [Math.floor(fromMs / unit) * unit, Math.ceil(toMs / unit) * unit];
  let peak = 0;
  for (let i = Math.ceil((low * rateHz) / 1_000); i < Math.ceil((high * rateHz) / 1_000); i++) {
    peak = Math.max(peak, Math.abs(all[i] ?? 0));
  }
  return Math.min(1, peak);
}

for (const rateHz of RATES) {
  test(`a peak is the loudest sample of a span, at ${rateHz} Hz`, () => {
    // Noise that swells and fades within a tenth of a second, from an odd position on, in random pieces.
    const random = seededRandom(rateHz);
    const first = sampleAt(777.7, rateHz);
    const count = 9 * rateHz;
    const swell = (i) => Math.abs(Math.sin((i * Math.PI * 10) / rateHz)) * (0.1 + (0.95 * i) / count);
    const signal = noise(random, count).map((x, i) => x * swell(i));
    const buffer = new AudioRingBuffer(rateHz);
    writePieces(buffer, first, randomPieces(random, signal));
    const all = new Float32Array(12 * rateHz);
    all.set(signal, first);
    const spans = [
      [0, 10],
      [770, 780],
      [0, 12_000],
      [9_000, 11_999],
      [4_000, 4_000],
      [2_500, 4_500],
    ];
    for (const length of [1, 10, 35, 400, 1_999, 2_000, 2_345, 6_000]) {
      for (let i = 0; i < 25; i++) {
        const at = randomInt(random, 0, 12_000 - length);
        spans.push([at, at + length]);
      }
    }
    const expected = spans.map(([fromMs, toMs]) => loudest(all, rateHz, fromMs, toMs));
    assert.ok(new Set(expected).size > 75);
    const found = spans.map(([fromMs, toMs]) => buffer.peak(fromMs, toMs));
    assertNear(found.map(Math.sqrt), expected.map(Math.sqrt), LEVEL / 2 + 1e-9);
  });
}

test("there is no peak without audio", () => {
  const buffer = new AudioRingBuffer(16_000);
  buffer.write(5_000, new Float32Array(160).fill(0.5));
  for (const [fromMs, toMs] of [
    [0, 5_000],
    [4_000, 5_000],
    [4_990, 5_000],
    [5_010, 5_020],
    [6_000, 9_000],
    [-500, 10],
    [90_000, 95_000],
  ]) {
    assert.equal(buffer.peak(fromMs, toMs), 0, `${fromMs} to ${toMs}`);
  }
  for (const [fromMs, toMs] of [
    [5_000, 5_010],
    [4_999, 5_001],
    [-100, 9_000],
  ]) {
    assert.equal(buffer.peak(fromMs, toMs), (180 / 255) ** 2);
  }
});

test("the last moments of a day have peaks", () => {
  const buffer = new AudioRingBuffer(16_000);
  buffer.write(DAY_MS - 1_000, new Float32Array(16_000).fill(1));
  assert.equal(buffer.peak(DAY_MS - 10, DAY_MS), 1);
  assert.equal(buffer.peak(0, DAY_MS), 1);
  assert.equal(buffer.peak(0, DAY_MS - 1_000), 0);
  assert.equal(buffer.endMs, DAY_MS);
});

test("an envelope without sound is drawn as the sound's own", () => {
  const [sound, envelope] = [new AudioRingBuffer(16_000), new AudioRingBuffer(16_000)];
  const random = seededRandom(5);
  const values = Uint8Array.from({ length: 150 }, () => randomInt(random, 0, 256));
  for (const [i, value] of values.entries()) {
    sound.write(5_000 + 20 * i, new Float32Array(320).fill((value / 255) ** 2));
  }
  envelope.writePeaks(5_000, 20, values.subarray(0, 70));
  envelope.writePeaks(6_400, 20, values.subarray(70));
  envelope.writePeaks(6_400, 20, values.subarray(70)); // again, after a break
  assert.deepEqual([envelope.endMs, envelope.wasWritten, envelope.has(0, 9_000)], [8_000, true, false]);
  for (const [fromMs, toMs] of [[5_000, 5_010], [5_013, 5_044], [0, 9_000], [7_980, 8_000], [8_000, 8_020]]) {
    assert.equal(envelope.peak(fromMs, toMs), sound.peak(fromMs, toMs), `${fromMs} to ${toMs}`);
  }
  envelope.writePeaks(8_000, 200, Uint8Array.of(51));
  assert.ok(Math.abs(envelope.peak(8_190, 8_200) - 0.04) < 1e-9);
});

test("an envelope that makes no sense is left out", () => {
  const buffer = new AudioRingBuffer(16_000);
  buffer.writePeaks(-20, 20, Uint8Array.of(255));
  buffer.writePeaks(0, 0, Uint8Array.of(255));
  buffer.writePeaks(0, 20, new Uint8Array(0));
  assert.deepEqual([buffer.endMs, buffer.wasWritten], [0, false]);
});

// Bounds ---------------------------------------------------------------------------------------

for (const rateHz of [16_000, 48_000]) {
  test(`the oldest audio is removed and its envelope stays, at ${rateHz} Hz`, () => {
    // A click a minute, each louder than the last, for ten minutes more than 64 MiB can hold.
    const keptSeconds = Math.floor(MAX_BYTES / (2 * rateHz));
    const minutes = Math.ceil(keptSeconds / 60) + 10;
    const buffer = new AudioRingBuffer(rateHz);
    const block = new Float32Array(60 * rateHz);
    for (let minute = 0; minute < minutes; minute++) {
      block[30 * rateHz] = (minute + 1) / minutes;
      buffer.write(60_000 * minute, block);
    }
    const endMs = 60_000 * minutes;
    const removedMs = endMs - 1_000 * keptSeconds;
    assert.equal(buffer.endMs, endMs);
    assert.ok(!buffer.has(0, removedMs));
    assert.ok(buffer.has(removedMs - 1, removedMs + 1));
    assert.ok(buffer.has(removedMs, removedMs + 1));
    assert.ok(buffer.has(endMs - 1, endMs));
    assert.ok(!buffer.has(endMs, endMs + 60_000));

    const clicks = range(minutes).map((minute) => 60_000 * minute + 30_000);
    const loudness = range(minutes).map((minute) => (minute + 1) / minutes);
    assert.ok(clicks.filter((ms) => ms < removedMs).length >= 10);
    const samples = clicks.map((ms) => Math.max(...buffer.read(ms, ms + 1)));
    assertNear(
      samples,
      loudness.map((value, i) => (clicks[i] >= removedMs ? value : 0)),
      STEP,
    );
    const peaks = clicks.map((ms) => buffer.peak(ms, ms + 10));
    assertNear(peaks.map(Math.sqrt), loudness.map(Math.sqrt), LEVEL / 2 + 1e-9);
    assert.deepEqual(
      clicks.map((ms) => buffer.peak(ms - 30_000, ms + 30_000)),
      peaks,
    );
  });
}

test("audio is kept by the second", () => {
  const buffer = new AudioRingBuffer(16_000);
  assert.equal(buffer.has(0, DAY_MS), false);
  buffer.write(3_200, new Float32Array(1_600).fill(0.5));
  for (const [fromMs, toMs, expected] of [
    [0, 3_000, false],
    [0, 3_001, true],
    [3_200, 3_300, true],
    [2_500, 9_000, true],
    [4_000, 5_000, false],
  ]) {
    assert.equal(buffer.has(fromMs, toMs), expected, `${fromMs} to ${toMs}`);
  }
});
