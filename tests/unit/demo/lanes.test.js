/** Where the lanes of the timeline are. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { channelAt, layoutTimeline } from "../../../demo/lanes.js";

const SIZE = 12;

test("one voice has one lane, with two lines of words above the axis", () => {
  for (const channels of [[], [1]]) {
    const { lanes, whole, axis } = layoutTimeline({ y: 10, height: 200 }, channels, SIZE);
    assert.equal(lanes.length, 1);
    const [{ channel, names, band, words }] = lanes;
    assert.equal(channel, null);
    assert.equal(words.lines, 2);
    assert.deepEqual(whole, band);
    assert.equal(names.y, 10);
    assert.equal(names.y + names.height, band.y);
    assert.equal(band.y + band.height, words.y);
    assert.ok(Math.abs(words.y + words.height - axis.y) < 1e-9);
    assert.equal(axis.y + axis.height, 210);
  }
});

test("channels have lanes of the same height that do not overlap", () => {
  const { lanes, whole, axis } = layoutTimeline({ y: 0, height: 300 }, [1, 2, 5], SIZE);
  assert.deepEqual(lanes.map(({ channel }) => channel), [1, 2, 5]);
  for (const [i, { names, band, words }] of lanes.entries()) {
    assert.ok(band.height > 0);
    const below = lanes[i + 1]?.names.y ?? axis.y;
    assert.ok(words.y + words.height <= below + 1e-9);
    assert.ok(names.y < band.y);
  }
  assert.equal(whole.y, lanes[0].band.y);
  assert.equal(whole.y + whole.height, lanes[2].band.y + lanes[2].band.height);
});

test("with little room there are no words, but always a band", () => {
  const { lanes } = layoutTimeline({ y: 0, height: 200 }, [1, 2, 3, 4, 5, 6, 7, 8, 9], SIZE);
  for (const { band, words } of lanes) {
    assert.equal(words.lines, 0);
    assert.ok(band.height >= 1);
  }
});

test("a click is in the lane below it", () => {
  assert.equal(channelAt(100, 200, []), null);
  assert.equal(channelAt(100, 200, [3]), null);
  const channels = [1, 2, 4];
  assert.deepEqual([0, 65, 70, 133, 135, 199, 200].map((y) => channelAt(y, 200, channels)), [1, 1, 2, 2, 4, 4, 4]);
  assert.equal(channelAt(-1, 200, channels), 1);
});
