/** Values as text. */
import assert from "node:assert/strict";
import { test } from "node:test";

import {
  announcement,
  clock,
  connectionText,
  duration,
  ending,
  history,
  knownFrom,
  percent,
  span,
  title,
  uncertainty,
  usualDelay,
  wholeClock,
} from "../../../demo/format.js";

for (const [ms, expected] of [
  [0, "00:00.0"],
  [8_170, "00:08.2"],
  [59_960, "01:00.0"],
  [754_300, "12:34.3"],
  [3_600_000, "1:00:00.0"],
]) {
  test(`times are minutes, seconds and tenths: ${ms}`, () => {
    assert.equal(clock(ms), expected);
    assert.equal(wholeClock(ms), expected.slice(0, -2));
  });
}

test("numbers and words", () => {
  assert.deepEqual([percent(0.914), percent(-1), percent(7)], ["91 %", "0 %", "100 %"]);
  assert.deepEqual([duration(661), duration(1_240)], ["661 ms", "1.2 s"]);
  assert.equal(usualDelay({ p50: 661, p95: 1_240 }), "661 ms, 19 of 20 within 1.2 s");
  assert.equal(span(8_170, 59_960), "00:08.2 – 01:00.0");
  assert.equal(title("full_moon"), "Full moon");
  assert.deepEqual([uncertainty("too_short"), uncertainty("full_moon")], ["Very short", "Full moon"]);
  assert.deepEqual([ending("silence"), ending("full_moon")], ["ended by a pause", "full moon"]);
});

test("a voice is described by the utterances behind it", () => {
  assert.deepEqual([null, 0, 1, 7].map(knownFrom), [null, "not yet", "1 utterance", "7 utterances"]);
  assert.deepEqual(
    [0, 1, 7].map(history),
    [
      "first utterance of this voice",
      "judged against 1 earlier utterance of this voice",
      "judged against 7 earlier utterances of this voice",
    ],
  );
});

test("a label that is not to be believed is announced as uncertain", () => {
  const emotion = { label: "sad", confidence: 0.4, reliable: true, text: "" };
  assert.equal(announcement(emotion), "Sad, 40 %");
  assert.equal(announcement({ ...emotion, reliable: false }), "Uncertain: Sad, 40 %");
});

test("a live source that gives no audio is live, and says why", () => {
  const live = { phase: "live", delayMs: null };
  assert.equal(connectionText({ ...live, message: "" }), "Live");
  assert.equal(connectionText({ ...live, message: "the microphone is muted" }), "Live: the microphone is muted");
});
