/** A call with one person on each channel: the server restarts while one talks and the other has had results. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { RepeatedResults } from "../../../demo/repeated_results.js";

const started = (utterance, channel, startMs) => ({ type: "speech_started", utterance, channel, start_ms: startMs });
const final = (utterance, channel, endMs) => ({ type: "emotion", final: true, utterance, channel, end_ms: endMs });
const failed = (utterance) => ({ type: "error", code: "analysis_failed", utterance });

test("a channel's results come once", () => {
  // The second channel's utterance began at 1 s; the first one's ended at 4 s, and is heard again.
  const results = new RepeatedResults();
  const note = (event) => results.note(event);
  assert.deepEqual([started(1, 2, 1000), started(2, 1, 2000), final(2, 1, 4000)].map(note), [false, false, false]);
  results.beginAgain(800);
  const again = [started(1, 2, 200), started(2, 1, 1200), final(2, 1, 3200), failed(2), final(1, 2, 4500)];
  assert.deepEqual(again.map(note), [false, true, true, true, false]);
  // What follows on that channel is new, though its edge may have moved.
  assert.deepEqual([started(3, 1, 3120), final(3, 1, 5000)].map(note), [false, false]);
});

test("a second restart before anything new", () => {
  const results = new RepeatedResults();
  results.note(final(1, 1, 4000));
  results.beginAgain(1000);
  results.beginAgain(500);
  assert.deepEqual([started(1, 1, 2000), started(2, 1, 2500)].map((event) => results.note(event)), [true, false]);
});

test("a stream without channels repeats nothing", () => {
  const results = new RepeatedResults();
  results.note(final(1, null, 4000));
  results.beginAgain(1000);
  assert.equal(results.note(started(1, null, 0)), false);
});
