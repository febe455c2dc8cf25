/** Which utterance is the headline. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { pickHeadline, shownWords } from "../../../demo/headline.js";

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

test("whether an utterance of this session has ended", () => {
  const hasFinals = (...items) => pickHeadline(items).hasFinals;
  assert.equal(hasFinals(), false);
  assert.equal(hasFinals(speaking("a"), { kind: "notice", key: "n" }), false);
  assert.equal(hasFinals(result("a", { final: false, reliable: false })), false);
  assert.equal(hasFinals(result("a", { reliable: false })), true);
  assert.equal(hasFinals(result("a"), { kind: "divider", key: "d" }, speaking("b")), false);
});

test("of long interim words the end is shown, of a final the beginning", () => {
  const text = Array.from({ length: 100 }, (_, i) => `word${i}`).join(" ");
  const final = { text, final: true, stableChars: text.length };
  assert.equal(shownWords(final), final);
  const short = { text: "not long", final: false, stableChars: 3 };
  assert.equal(shownWords(short), short);
  const interim = shownWords({ text, final: false, stableChars: text.indexOf("word95") });
  assert.ok(interim.text.length <= 182);
  assert.match(interim.text, /^… word\d+ .* word99$/);
  assert.equal(interim.text.slice(interim.stableChars), "word95 word96 word97 word98 word99");
  assert.equal(shownWords({ text, final: false, stableChars: 10 }).stableChars, 0);
  const unbroken = "a".repeat(300);
  assert.ok(shownWords({ text: unbroken, final: false, stableChars: 0 }).text.length > 0);
});
