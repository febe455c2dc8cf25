/** A microphone that the system takes away and gives back: gaps in the audio, and states. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { AudioGap, CaptureMonitor } from "../../../demo/capture_monitor.js";

const RATE = 8_000;
const BLOCK = 160; // 20 ms

/** Two clocks, and the items and states that the monitor reports; gaps as numbers of milliseconds. */
class World {
  now = 100;
  audioMs = 0;
  frame = 0;
  items = [];
  states = [];
  monitor = new CaptureMonitor({
    push: (item) => this.items.push(item instanceof AudioGap ? item.ms : "block"),
    onState: (state) => this.states.push(state),
    now: () => this.now,
    audioNow: () => this.audioMs,
    rateHz: RATE,
  });

  /** Time passes; the audio clock goes with it, or stands still. */
  pass(ms, { stands = false } = {}) {
    this.now += ms;
    if (!stands) this.audioMs += ms;
  }

  record(blocks) {
    for (let i = 0; i < blocks; i++) {
      this.pass(20);
      this.frame += BLOCK;
      this.monitor.block(new Float32Array(BLOCK), this.frame);
    }
  }

  get gapMs() {
    return this.items.filter((item) => item !== "block").reduce((sum, ms) => sum + ms, 0);
  }
}

test("audio that comes is passed on", () => {
  const world = new World();
  world.record(3);
  world.monitor.tick();
  assert.deepEqual(world.items, ["block", "block", "block"]);
  assert.deepEqual(world.states, []);
});

test("a call is a gap as long as it lasted, and the audio comes back", () => {
  const world = new World();
  world.record(2);
  world.monitor.setInterrupted(true);
  for (let second = 0; second < 7; second++) {
    world.pass(1_000, { stands: true });
    world.monitor.tick();
  }
  world.pass(300, { stands: true });
  world.monitor.setInterrupted(false);
  world.record(2);
  assert.equal(world.gapMs, 7_300);
  assert.deepEqual(world.items.slice(0, 3), ["block", "block", 1_000]); // told while it lasts
  assert.deepEqual(world.items.slice(-3), [300, "block", "block"]);
  assert.deepEqual(world.states, ["interrupted", "running"]);
});

test("the zeros of a muted track are a gap", () => {
  const world = new World();
  world.record(1);
  world.monitor.setMuted(true);
  world.record(50);
  world.monitor.setMuted(false);
  world.record(1);
  assert.deepEqual(world.items, ["block", 1_000, "block"]);
  assert.deepEqual(world.states, ["muted", "running"]);
});

test("muted and interrupted at once is one gap", () => {
  const world = new World();
  world.monitor.setMuted(true);
  world.pass(400);
  world.monitor.setInterrupted(true);
  world.pass(500, { stands: true });
  world.monitor.setMuted(false);
  world.pass(600, { stands: true });
  world.monitor.setInterrupted(false);
  assert.deepEqual(world.items, [1_500]);
  assert.deepEqual(world.states, ["muted", "interrupted", "running"]);
});

test("a machine that slept has lost its sleep", () => {
  // Nothing was reported: the audio clock stood still.
  const world = new World();
  world.record(1);
  world.pass(60_000, { stands: true });
  world.record(2);
  assert.deepEqual(world.items, ["block", 60_000, "block", "block"]);
});

test("audio that the clock counted and no block brought is a gap", () => {
  const world = new World();
  world.record(1);
  world.frame += RATE / 2;
  world.pass(500);
  world.record(1);
  assert.deepEqual(world.items, ["block", 500, "block"]);
});

test("a page that was busy gets its blocks late and has lost nothing", () => {
  const world = new World();
  world.record(1);
  world.pass(2_000);
  for (let i = 0; i < 100; i++) {
    world.frame += BLOCK;
    world.monitor.block(new Float32Array(BLOCK), world.frame);
  }
  assert.equal(world.gapMs, 0);
});

test("a microphone without samples for five seconds is reported, and that it is back", () => {
  const world = new World();
  world.record(1);
  world.pass(4_900);
  world.monitor.tick();
  assert.deepEqual(world.states, []);
  world.pass(100);
  world.monitor.tick();
  world.monitor.tick();
  assert.deepEqual(world.states, ["silent"]);
  world.record(1);
  assert.deepEqual(world.states, ["silent", "running"]);
});
