/** The overlay: its options, and what it shows when. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { readOptions } from "../../../demo/overlay_options.js";
import { OverlayState } from "../../../demo/overlay_state.js";

const DEFAULTS = readOptions("").options;

test("all options", () => {
  const query =
    "?stream=mic&size=64.5&align=left&position=top&font=Comic+Sans&color=%23ff0&background=00000080&words=off" +
    "&confidence=on&interim=off&unsure=hide&hold=0";
  assert.deepEqual(readOptions(query), {
    options: {
      stream: "mic",
      size: 64.5,
      align: "left",
      position: "top",
      font: "Comic Sans",
      color: "#ff0",
      background: "#00000080",
      words: "off",
      confidence: "on",
      interim: "off",
      unsure: "hide",
      hold: 0,
    },
    problem: null,
  });
});

for (const [query, problem] of [
  ["size=big", 'expected size to be a number of pixels from 8 to 300, got "big"; correct the address'],
  ["size=301", "from 8 to 300"],
  ["size=7", "from 8 to 300"],
  ["size=1e2", "from 8 to 300"],
  ["size=", 'got ""'],
  ["stream=", 'got ""'],
  ["hold=-1", "from 0 to 3600"],
  ["align=justify", "one of center, left, right"],
  ["color=red", "in hex"],
  ["color=12345", "in hex"],
  ["background=url(x)", "in hex"],
  ['font=a";b', "the name of a font"],
  ["colour=fff", "expected one of stream, size,"],
  ["__proto__=1", "expected one of stream, size,"],
  [`align=${"x".repeat(500)}`, "…"],
]) {
  test(`a value that cannot be used: ${query.slice(0, 30)}`, () => {
    const read = readOptions(query);
    assert.ok(read.problem.includes(problem), read.problem);
    assert.ok(read.problem.length < 220);
    assert.deepEqual(read.options, DEFAULTS);
  });
}

const ready = (session, clockMs = 0) => ({ type: "ready", session, clockMs });
const result = (utterance, { final = true, reliable = true, endMs = 1_000 * utterance } = {}) => ({
  type: "emotion",
  utterance,
  final,
  reliable,
  endMs,
});

function shownAfter(events, options = {}, nowMs = 0) {
  const state = new OverlayState({ ...DEFAULTS, ...options });
  for (const event of events) state.add(event, nowMs);
  return state;
}

test("the newest result, and an utterance's own final, replace what is shown", () => {
  const state = shownAfter([ready("a"), result(1), result(2, { final: false }), result(1)]);
  assert.equal(state.shown.utterance, 2);
  state.add(result(2), 5);
  assert.equal(state.shown.final, true);
});

test("it stays for its time", () => {
  const state = shownAfter([ready("a"), result(1)], { hold: 3 }, 100);
  assert.equal(state.untilMs, 3_100);
  state.expire(3_099);
  assert.notEqual(state.shown, null);
  state.expire(3_100);
  assert.equal(state.shown, null);
  assert.equal(shownAfter([ready("a"), result(1)], { hold: 0 }).untilMs, Infinity);
});

test("results from before the page joined are shown for the rest of their time only", () => {
  const old = [ready("a", 60_000), result(1, { endMs: 51_000 }), result(2, { endMs: 55_000 })];
  const state = shownAfter(old, { hold: 8 }, 100);
  assert.equal(state.shown.utterance, 2);
  assert.equal(state.untilMs, 3_100);
  assert.equal(shownAfter(old.slice(0, 2), { hold: 8 }).shown, null);
});

test("another session, and a sound that is no speech, clear it", () => {
  assert.equal(shownAfter([ready("a"), result(1), ready("b")]).shown, null);
  assert.notEqual(shownAfter([ready("a"), result(1), ready("a")]).shown, null);
  assert.equal(shownAfter([ready("a"), result(1, { final: false }), { type: "no_emotion", utterance: 1 }]).shown, null);
});

test("what the options leave out is not shown", () => {
  assert.equal(shownAfter([ready("a"), result(1, { final: false })], { interim: "off" }).shown, null);
  assert.equal(shownAfter([ready("a"), result(1, { reliable: false })], { unsure: "hide" }).shown, null);
  assert.notEqual(shownAfter([ready("a"), result(1, { reliable: false })]).shown, null);
});
