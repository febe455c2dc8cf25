/** Spans of the timeline. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { SPANS_MS, fittingSpan } from "../../../demo/timeline.js";

for (const [ms, spanMs] of [
  [0, 10_000],
  [9_000, 10_000],
  [9_900, 20_000], // there is empty space after the end
  [59_000, 120_000],
  [50_000_000, 14_400_000], // longer than the longest
]) {
  test(`${ms} ms fit into ${spanMs} ms`, () => assert.equal(SPANS_MS[fittingSpan(ms)], spanMs));
}
