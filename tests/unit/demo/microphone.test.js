/** The microphone with a browser's objects that the test plays: what the system does to it reaches the server. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { AudioGap, microphone } from "../../../demo/client.js";
import { Simulation, count, runs } from "../../support/demo/simulation.js";

class Context extends EventTarget {
  sampleRate = 8_000;
  state = "running";
  currentTime = 0;
  resumed = 0;
  audioWorklet = { addModule: async () => {} };
  createMediaStreamSource = () => ({ connect: (node) => node });

  async resume() {
    this.resumed++;
    if (this.state === "interrupted") throw new Error("InvalidStateError");
  }
  become(state) {
    this.state = state;
    this.dispatchEvent(new Event("statechange"));
  }
  async close() {
    this.state = "closed";
  }
}

/** A microphone, and the browser's objects behind it. */
async function openMicrophone(t, settings = {}) {
  const track = Object.assign(new EventTarget(), { muted: false, label: "mic", stop: () => {} });
  const world = { context: null, node: null, track };
  const stream = { getTracks: () => [track], getAudioTracks: () => [track] };
  const browser = {
    navigator: { mediaDevices: { getUserMedia: async () => stream } },
    AudioContext: class extends Context {
      constructor() {
        super();
        world.context = this;
      }
    },
    AudioWorkletNode: class {
      port = {};
      constructor() {
        world.node = this;
      }
      connect() {
        return this;
      }
    },
  };
  for (const [name, value] of Object.entries(browser)) {
    const before = Object.getOwnPropertyDescriptor(globalThis, name);
    Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
    t.after(() => (before ? Object.defineProperty(globalThis, name, before) : delete globalThis[name]));
  }
  t.mock.timers.enable({ apis: ["setInterval"] });
  const audio = await microphone(settings);
  t.after(() => audio.stop());
  const record = (block, endFrame) => world.node.port.onmessage({ data: { block, endFrame } });
  return { audio, record, ...world };
}

test("an interrupted context sends gaps, is asked for again, and comes back", async (t) => {
  const states = [];
  const { audio, record, context } = await openMicrophone(t, { onState: (state) => states.push(state) });
  const blocks = audio[Symbol.asyncIterator]();
  record(new Float32Array(160), 160);
  assert.ok((await blocks.next()).value instanceof Float32Array);
  const before = context.resumed;
  context.become("interrupted");
  assert.ok(context.resumed > before);
  t.mock.timers.tick(1_000);
  assert.ok((await blocks.next()).value instanceof AudioGap);
  context.become("running");
  record(new Float32Array(160), 320);
  let item;
  do item = (await blocks.next()).value;
  while (item instanceof AudioGap);
  assert.ok(item instanceof Float32Array);
  assert.deepEqual(states, ["interrupted", "running"]);
});

test("a muted track gives gaps until it is not", async (t) => {
  const states = [];
  const { record, track } = await openMicrophone(t, { onState: (state) => states.push(state) });
  track.muted = true;
  track.dispatchEvent(new Event("mute"));
  record(new Float32Array(160), 160);
  track.muted = false;
  track.dispatchEvent(new Event("unmute"));
  assert.deepEqual(states, ["muted", "running"]);
});

test("a gap among the blocks is sent as a gap in its place", () => {
  const simulation = new Simulation({ finalEveryMs: 0 });
  const client = simulation.client();
  for (const item of [count(1, 800), new AudioGap(250), count(801, 1_600)]) client.send(item);
  client.stop();
  simulation.run();
  assert.deepEqual(runs(simulation.session.received), [[1, 800], "gap 250", [801, 1_600], "stop"]);
});
