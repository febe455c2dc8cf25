/** Spans of the timeline. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { SPANS_MS, fittedSpan, nextSpan } from "../../../demo/timeline.js";

for (const [ms, spanMs] of [
  [0, 1_000],
  [9_700, 10_000], // there is empty space after the end
  [58_200, 60_000],
  [50_000_000, 14_400_000], // longer than the longest
]) {
  test(`${ms} ms fill ${spanMs} ms`, () => assert.equal(Math.round(fittedSpan(ms)), spanMs));
}

for (const [spanMs, shorter, longer] of [
  [30_000, 20_000, 60_000],
  [28_866, 20_000, 30_000], // of a recording that fits
  [1_000, null, 10_000],
  [10_000, null, 20_000],
  [14_400_000, 3_600_000, null],
]) {
  test(`from ${spanMs} ms one zooms to ${shorter} and ${longer}`, () => {
    const found = [-1, 1].map((step) => nextSpan(spanMs, step));
    assert.deepEqual(
      found.map((index) => (index === null ? null : SPANS_MS[index])),
      [shorter, longer],
    );
  });
}
