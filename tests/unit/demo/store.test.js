/** The page's list of utterances and notices, whatever is repeated and whatever is lost. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { readEvent } from "../../../demo/events.js";
import { INITIAL, beginsAfresh, reduce } from "../../../demo/store.js";
import { emotion, interim, noEmotion, numbered, speechStarted } from "../../support/demo/messages.js";
import { randomInt, range, seededRandom } from "../../support/demo/random.js";

/** Utterances that overlap by one, some of which fail, with losses in between. */
function randomStream(seed, length) {
  const random = seededRandom(seed);
  const messages = [];
  const waiting = [];
  for (let utterance = 1; utterance <= length; utterance++) {
    messages.push(speechStarted(utterance));
    waiting.push(utterance);
    if (random() < 0.3) messages.push(interim(utterance, "sad", { text: "interim" }));
    while (waiting.length > randomInt(random, 0, 2)) {
      const done = waiting.shift();
      const failed = { type: "error", code: "model_error", message: "no", fatal: false };
      messages.push(random() < 0.1 ? failed : emotion(done, "angry", `number ${done}`));
    }
    if (random() < 0.1) messages.push({ type: "dropped", ms: 20, reason: "too slow" });
  }
  return numbered(messages);
}

/** [key, final text or null] of every item, after these connections' events. */
function itemsAfter(connections, sessions) {
  let state = INITIAL;
  const receive = (message) => {
    state = reduce(state, { kind: "event", event: readEvent(message) });
  };
  connections.forEach((messages, i) => {
    receive({ type: "ready", session: sessions[i] });
    messages.forEach(receive);
  });
  return state.items.map((item) => [item.key, item.emotion?.final ? item.emotion.text : null]);
}

for (const seed of range(8)) {
  test(`a repetition after a break changes nothing (seed ${seed})`, () => {
    // Wherever the connection is cut and however much is repeated, the list is that of the uncut run.
    const messages = randomStream(seed, seed % 2 ? 60 : 300);
    const uncut = itemsAfter([messages], ["a"]);
    const cut = randomInt(seededRandom(seed + 100), 0, messages.length);
    for (const repeatedFrom of [Math.max(0, cut - 200), 0]) {
      const resumed = [messages.slice(0, cut), messages.slice(repeatedFrom)];
      assert.deepEqual(itemsAfter(resumed, ["a", "a"]), uncut);
    }
    assert.deepEqual(itemsAfter([messages, messages.slice(0, cut >> 1)], ["a", "a"]), uncut);
    const keys = new Set(uncut.map(([key]) => key));
    assert.equal(keys.size, uncut.length);
    assert.ok(uncut.length <= 200);
    const finals = messages.filter(({ type, final }) => type === "emotion" && final).map(({ text }) => text);
    const shown = uncut.map(([, text]) => text).filter((text) => text !== null);
    assert.ok(shown.length > 10);
    assert.deepEqual(shown, finals.slice(-shown.length));
  });
}

test("a final is never changed", () => {
  const messages = [
    emotion(1, "angry", "first"),
    emotion(1, "angry", "second"),
    emotion(1, "angry", "third", { final: false }),
  ];
  assert.deepEqual(itemsAfter([numbered(messages)], ["a"]), [["a/1", "first"]]);
});

test("unfinished utterances of an earlier session are removed", () => {
  const started = numbered([speechStarted(1)]);
  const done = numbered([emotion(1, "angry", "done"), speechStarted(2)]);
  assert.deepEqual(itemsAfter([started, started], ["a", "b"]), [["b/1", null]]);
  assert.deepEqual(itemsAfter([done, started], ["a", "b"]), [
    ["a/1", "done"],
    ["b/start", null],
    ["b/1", null],
  ]);
});

test("an utterance without speech replaces what was shown of it, and is never changed", () => {
  let state = INITIAL;
  const kinds = () => state.items.map(({ kind, utterance }) => [kind, utterance]);
  const seen = [];
  const messages = [speechStarted(1), speechStarted(2), interim(2), noEmotion(2), emotion(2), emotion(3)];
  for (const message of [{ type: "ready", session: "s" }, ...numbered(messages)]) {
    state = reduce(state, { kind: "event", event: readEvent(message) });
    seen.push(kinds());
  }
  assert.deepEqual(seen.at(3), [["speaking", 1], ["result", 2]]);
  // Utterance 1, which is still unfinished, has got lost: results come in order.
  assert.deepEqual(seen.at(4), [["no_emotion", 2]]);
  assert.deepEqual(seen.at(5), [["no_emotion", 2]]);
  assert.deepEqual(seen.at(6), [["no_emotion", 2], ["result", 3]]);
  assert.equal(state.items[0].event.reason, "no_speech");
});

for (const [reason, afresh] of [
  ["end_of_stream", true],
  ["shutting_down", false],
  [null, false],
]) {
  test(`after ${reason ?? "a break"} the next session ${afresh ? "begins afresh" : "follows what is shown"}`, () => {
    let state = INITIAL;
    const receive = (message) => (state = reduce(state, { kind: "event", event: readEvent(message) }));
    receive({ type: "ready", session: "a" });
    for (const message of numbered([speechStarted(1), emotion(1, "sad", "one")])) receive(message);
    if (reason !== null) receive({ type: "closed", seq: 3, reason });
    const ready = readEvent({ type: "ready", session: "b" });
    assert.equal(beginsAfresh(state, readEvent({ type: "ready", session: "a", resumed: true })), false);
    assert.equal(beginsAfresh(state, ready), afresh);
    receive({ type: "ready", session: "b" });
    assert.equal(beginsAfresh(state, readEvent({ type: "ready", session: "c" })), false);
    const kinds = state.items.map(({ kind }) => kind);
    assert.deepEqual(kinds, afresh ? [] : reason === null ? ["result", "divider"] : ["result", "notice", "divider"]);
  });
}
