/** The backoff, the close codes, and the one reconnect loop. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { ReconnectLoop, closeOutcome, fullJitterMs } from "../../../demo/backoff.js";

for (const [attempt, random, expectedMs] of [
  [0, 0, 0],
  [0, 1, 500],
  [1, 0.5, 500],
  [1, 1, 1_000],
  [2, 0.5, 1_000],
  [4, 1, 8_000],
  [5, 1, 15_000],
  [999, 0.5, 7_500],
]) {
  test(`the delay is anything up to a doubling limit: attempt ${attempt}, random ${random}`, () => {
    assert.equal(fullJitterMs(attempt, random), expectedMs);
  });
}

for (const [code, closedReason, expected] of [
  [1006, null, "retry"],
  [1000, null, "retry"],
  [1001, "shutting_down", "retry"],
  [1013, null, "retry"],
  [4413, null, "retry"],
  [1000, "end_of_stream", "ended"],
  [1011, "error", "ended"],
  [4408, "error", "ended"],
  [1009, null, "refused"],
  [4400, null, "refused"],
  [4401, null, "refused"],
  [4403, null, "refused"],
  [4409, null, "refused"],
  [4429, null, "refused"],
]) {
  test(`the end of a socket means: ${code}, ${closedReason} -> ${expected}`, () => {
    assert.equal(closeOutcome(code, closedReason), expected);
  });
}

/** A loop on a clock that the test advances. */
function createLoop() {
  const world = { now: 0, timers: [], connections: 0 };
  const timers = {
    now: () => world.now,
    random: () => 1,
    setTimeout: (run, ms) => {
      const timer = { at: world.now + ms, run };
      world.timers.push(timer);
      return timer;
    },
    clearTimeout: (timer) => (world.timers = world.timers.filter((other) => other !== timer)),
  };
  const loop = new ReconnectLoop(() => world.connections++, timers);
  const elapse = () => {
    const timer = world.timers.shift();
    world.now = timer.at;
    timer.run();
  };
  return { world, loop, elapse };
}

test("the loop connects after each delay, and a stable connection resets the backoff", () => {
  const { world, loop, elapse } = createLoop();
  loop.connectNow();
  const delays = [];
  for (const lastedMs of [null, 0, 5_000, 5_001, null]) {
    if (lastedMs !== null) loop.connected();
    world.now += lastedMs ?? 0;
    delays.push(loop.scheduleRetry());
    elapse();
  }
  assert.deepEqual(delays, [500, 1_000, 2_000, 500, 1_000]);
  assert.equal(world.connections, 6);
});

test("time without a connection does not count as a stable one", () => {
  const { world, loop, elapse } = createLoop();
  loop.connectNow();
  loop.connected();
  loop.scheduleRetry();
  elapse();
  world.now += 60_000; // connecting all the time
  assert.equal(loop.scheduleRetry(), 1_000);
});

test("the backoff comes on top of what the server asks for", () => {
  const { loop } = createLoop();
  assert.equal(loop.scheduleRetry(5_000), 5_500);
  assert.equal(loop.scheduleRetry(-1), 1_000);
  assert.equal(loop.scheduleRetry(null), 2_000);
  assert.equal(loop.scheduleRetry(undefined), 4_000);
});

test("one retry at most is scheduled, and it can be cancelled or hurried", () => {
  const { world, loop } = createLoop();
  loop.scheduleRetry();
  loop.scheduleRetry();
  assert.equal(world.timers.length, 1);
  assert.ok(loop.isWaiting);
  loop.connectNow();
  assert.deepEqual([world.connections, world.timers.length, loop.isWaiting], [1, 0, false]);
  loop.scheduleRetry();
  loop.stop();
  assert.deepEqual([world.connections, world.timers.length, loop.isWaiting], [1, 0, false]);
});
