/** Which utterance is the headline. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { pickHeadline } from "../../../demo/headline.js";

const result = (key, { final = true, reliable = true, startMs = 0, endMs = 2_000 } = {}) => ({
  kind: "result",
  key,
  emotion: { final, reliable, startMs, endMs },
});
const speaking = (key) => ({ kind: "speaking", key });
const keys = (items) => {
  const { shown, inProgress } = pickHeadline(items);
  return [shown?.key ?? null, inProgress?.key ?? null];
};

test("it is the newest result", () => {
  assert.deepEqual(keys([]), [null, null]);
  assert.deepEqual(keys([result("a"), result("b"), { kind: "notice", key: "n" }]), ["b", null]);
});

test("what is unreliable or shorter than half a second is never the headline", () => {
  const doubtful = result("b", { reliable: false });
  const short = result("c", { startMs: 5_000, endMs: 5_499 });
  assert.deepEqual(keys([result("a"), doubtful, short]), ["a", null]);
  assert.deepEqual(keys([doubtful, short]), [null, null]);
  assert.deepEqual(keys([result("a"), result("d", { startMs: 5_000, endMs: 5_500 })]), ["d", null]);
});

test("it moves with an interim result, and else says what is in progress", () => {
  assert.deepEqual(keys([result("a"), result("b", { final: false })]), ["b", null]);
  assert.deepEqual(keys([result("a"), result("b", { final: false, reliable: false })]), ["a", "b"]);
  assert.deepEqual(keys([result("a"), speaking("b")]), ["a", "b"]);
});

test("an earlier session is not current", () => {
  assert.deepEqual(keys([result("a"), { kind: "divider", key: "d" }]), [null, null]);
  assert.deepEqual(keys([result("a"), { kind: "divider", key: "d" }, result("b")]), ["b", null]);
});
