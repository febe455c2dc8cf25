/** Where the emotion of a session turns. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { turningPoints } from "../../../demo/turning_points.js";

/** Utterances one behind the other: "sad 2000" or, with a doubt, "sad? 2000"; "2:sad 2000" is channel 2's. */
function session(...spoken) {
  let atMs = 0;
  return spoken.map((text, i) => {
    const [, channel, label, doubt, ms] = /^(?:(\d):)?(\w+?)(\?)? (\d+)$/.exec(text);
    const startMs = atMs;
    atMs += Number(ms) + 500;
    const heardOn = channel === undefined ? null : Number(channel);
    return { key: `s/${i}`, label, startMs, endMs: startMs + Number(ms), reliable: doubt === undefined, channel: heardOn };
  });
}
const turns = (...spoken) => turningPoints(session(...spoken)).map(({ key, from, to }) => `${key} ${from} ${to}`);

test("the first emotion is no turn", () => {
  assert.deepEqual(turns(), []);
  assert.deepEqual(turns("sad 9000", "sad 9000"), []);
});

test("it turns where another emotion begins and lasts", () => {
  assert.deepEqual(turns("sad 4000", "angry 2000", "angry 2000", "angry 2000", "sad 3000"), [
    "s/1 sad angry",
    "s/4 angry sad",
  ]);
});

test("one short utterance between others is no turn", () => {
  assert.deepEqual(turns("sad 4000", "angry 2900", "sad 4000"), []);
  assert.deepEqual(turns("sad 4000", "angry 2000", "sad 2000", "angry 2000"), []);
  assert.deepEqual(turns("sad 4000", "angry 2900", "happy 3000"), ["s/2 sad happy"]);
});

test("what is doubtful or very short neither makes a turn nor ends a run", () => {
  assert.deepEqual(turns("sad 4000", "angry? 9000"), []);
  assert.deepEqual(turns("sad 4000", "angry 2000", "sad? 2000", "happy 499", "angry 2000"), ["s/1 sad angry"]);
});

test("each speaker has turns of their own", () => {
  const found = turningPoints(session("1:sad 4000", "2:happy 4000", "1:sad 4000", "2:angry 4000"));
  assert.deepEqual(found, [{ key: "s/3", startMs: 13_500, channel: 2, from: "happy", to: "angry" }]);
});
