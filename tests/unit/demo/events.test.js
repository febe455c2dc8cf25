/** Messages of the server as the page reads them. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { parseMessage, readEvent } from "../../../demo/events.js";
import { emotion } from "../../support/demo/messages.js";

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
