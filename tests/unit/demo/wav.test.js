/** The server's WAV files as the page reads them. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { parseWav } from "../../../demo/wav.js";
import { randomInt, seededRandom } from "../../support/demo/random.js";

const joined = (...parts) => Buffer.concat(parts.map((part) => Buffer.from(part)));

/** A WAV file of 16-bit mono samples, after the specification. */
function wav(samples, rateHz = 16_000) {
  const data = Buffer.from(samples.buffer, samples.byteOffset, samples.byteLength);
  const head = Buffer.alloc(44);
  head.write("RIFF", 0, "latin1");
  head.writeUInt32LE(36 + data.length, 4);
  head.write("WAVEfmt ", 8, "latin1");
  head.writeUInt32LE(16, 16); // length of the format
  head.writeUInt16LE(1, 20); // PCM
  head.writeUInt16LE(1, 22); // channels
  head.writeUInt32LE(rateHz, 24);
  head.writeUInt32LE(2 * rateHz, 28);
  head.writeUInt16LE(2, 32);
  head.writeUInt16LE(16, 34);
  head.write("data", 36, "latin1");
  head.writeUInt32LE(data.length, 40);
  return joined(head, data);
}

/** With another chunk: at 12 before `fmt `, at 36 after it. An odd length is padded by a byte that does not count. */
function withChunk(file, at, payload) {
  const head = Buffer.alloc(8);
  head.write("LIST", 0, "latin1");
  head.writeUInt32LE(payload.length, 4);
  const padding = Buffer.alloc(payload.length % 2);
  return joined(file.subarray(0, at), head, payload, padding, file.subarray(at));
}

/** [rate, samples in steps of 16 bits], or null. */
function parse(file) {
  const found = parseWav(file.buffer.slice(file.byteOffset, file.byteOffset + file.length));
  return found && [found.rateHz, [...found.samples].map((value) => value * 32_768)];
}

const random = seededRandom(7);
const PCM = Int16Array.from({ length: 1_001 }, () => randomInt(random, -32_768, 32_768));
const ALL = [16_000, [...PCM]];

for (const rateHz of [8_000, 16_000, 48_000]) {
  test(`a WAV file is read, at ${rateHz} Hz`, () => {
    const extremes = Int16Array.of(-32_768, -1, 0, 1, 32_767);
    assert.deepEqual(parse(wav(extremes, rateHz)), [rateHz, [...extremes]]);
    assert.deepEqual(parse(wav(PCM, rateHz)), [rateHz, [...PCM]]);
    assert.deepEqual(parse(wav(new Int16Array(0), rateHz)), [rateHz, []]);
  });
}

for (const at of [12, 36]) {
  for (const length of [0, 1, 26, 33]) {
    test(`other chunks are skipped: ${length} bytes at ${at}`, () => {
      const file = withChunk(wav(PCM), at, Buffer.from("data".repeat(9)));
      assert.deepEqual(parse(withChunk(file, at, Buffer.alloc(length, "x"))), ALL);
    });
  }
}

test("a file that is cut in its data is read up to there", () => {
  // An odd byte is half a sample; a length that was not known reaches to the end.
  const file = wav(PCM);
  assert.equal(file.length, 44 + 2 * 1_001);
  for (const kept of [0, 1, 2, 3, 999, 1_000, 2_001]) {
    assert.deepEqual(parse(file.subarray(0, 44 + kept)), [16_000, [...PCM.subarray(0, kept >> 1)]]);
  }
  const endless = joined(file.subarray(0, 40), [0xff, 0xff, 0xff, 0xff], file.subarray(44));
  assert.deepEqual(parse(endless), ALL);
});

test("a file that is cut in its head is null", () => {
  const file = withChunk(wav(PCM), 12, Buffer.alloc(40, "x"));
  for (let length = 0; length < 92; length++) assert.equal(parse(file.subarray(0, length)), null);
});

for (const [name, file] of [
  ["empty", Buffer.alloc(0)],
  ["a head without its end", wav(PCM).subarray(0, 43)],
  ["big-endian", joined("RIFX", wav(PCM).subarray(4))],
  ["an AVI file", joined(wav(PCM).subarray(0, 8), "AVI ", wav(PCM).subarray(12))],
  ["JSON", Buffer.from('{"error": "not found", "reason": "no such stream is kept here"}')],
  ["no data", joined(wav(PCM).subarray(0, 36), "DATA", wav(PCM).subarray(40))],
  ["data before its format", joined(wav(PCM).subarray(0, 12), wav(PCM).subarray(36))],
]) {
  test(`a file that is not WAV is null: ${name}`, () => {
    assert.equal(parse(file), null);
  });
}
