/** Messages of the server as the page reads them. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { parseMessage, readEvent } from "../../../demo/events.js";
import { emotion, interim } from "../../support/demo/messages.js";

for (const text of [
  "{",
  "[]",
  "null",
  '{"type": 7}',
  '{"type": "weather"}',
  '{"type": "constructor"}',
  '{"type": "emotion", "seq": 1}',
]) {
  test(`a message that the page cannot use is null: ${text}`, () => {
    assert.equal(readEvent(parseMessage(text)), null);
  });
}

test("an emotion is read with all its fields, and unknown ones are left out", () => {
  const event = readEvent({ ...emotion(3, "sad", "no", { smell: "roses" }), seq: 9 });
  assert.equal("smell" in event, false);
  const { seq, utterance, startMs, endMs, label, text, timing } = event;
  assert.deepEqual([seq, utterance, startMs, endMs, label, text], [9, 3, 12_000, 14_500, "sad", "no"]);
  assert.equal(timing.total, 661);
  assert.deepEqual(event.probabilities, emotion(3, "sad").probabilities);
});

test("dropped audio has its reason and its position", () => {
  const dropped = readEvent({ type: "dropped", seq: 2, ms: 20, reason: "too slow", at_ms: 7 });
  assert.deepEqual(dropped, { type: "dropped", seq: 2, ms: 20, reason: "too slow", atMs: 7 });
});

for (const [text, stable, shown] of [
  ["so my fellow", 5, "so my"],
  ["so my fellow", undefined, ""],
  ["so my fellow", 99, "so my fellow"],
  ["so my fellow", -1, ""],
  ["so my fellow", "5", ""],
  ["👩 said so", 6, "👩 said"], // the server counts code points
]) {
  test(`of the interim text "${text}" with ${stable} stable characters "${shown}" is stable`, () => {
    const event = readEvent(interim(1, "sad", { text, stable_chars: stable }));
    assert.equal(text.slice(0, event.stableChars), shown);
  });
}

test("of a final everything is stable", () => {
  assert.equal(readEvent(emotion(1, "sad", "we won")).stableChars, 6);
});

test("an utterance without an emotion has the reason", () => {
  const wire = { type: "no_emotion", seq: 4, utterance: 2, channel: 2, start_ms: 100, end_ms: 900, reason: "no_speech", speech: 0.1 };
  const read = { type: "no_emotion", seq: 4, utterance: 2, channel: 2, startMs: 100, endMs: 900, reason: "no_speech", speech: 0.1 };
  assert.deepEqual(readEvent(wire), read);
  assert.equal(readEvent({ type: "no_emotion", seq: 4, reason: "no_speech" }), null);
});
