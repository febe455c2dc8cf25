/** Values as text. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { clock, duration, ending, percent, title, uncertainty, wholeClock } from "../../../demo/format.js";

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
  assert.equal(title("full_moon"), "Full moon");
  assert.deepEqual([uncertainty("too_short"), uncertainty("full_moon")], ["Very short", "Full moon"]);
  assert.deepEqual([ending("silence"), ending("full_moon")], ["ended by a pause", "full moon"]);
});
