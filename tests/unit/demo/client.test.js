/** EmostreamClient: what it sends and accepts while the connection holds. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { Simulation, count, messageOf, runs } from "../../support/demo/simulation.js";

test("the first message is the start and offers version 1", () => {
  const simulation = new Simulation();
  simulation.client({
    url: "http://server:8765",
    encoding: "pcm_f32le",
    sampleRate: 48000,
    channels: 2,
    language: "en",
    token: "abc",
    options: { words: false },
  });
  simulation.run();
  const { url, protocol, start } = simulation.socket;
  assert.equal(url, "ws://server:8765/v1/stream");
  assert.equal(protocol, "emostream.v1");
  assert.deepEqual(start, {
    type: "start",
    encoding: "pcm_f32le",
    sample_rate: 48_000,
    channels: 2,
    language: "en",
    token: "abc",
    options: { words: false },
  });
  assert.deepEqual(simulation.phases, ["connecting", "live"]);
});

for (const [settings, message] of [
  [{ encoding: "mp3" }, "expected encoding to be pcm_s16le, pcm_f32le, mulaw or alaw, got mp3"],
  [{ sampleRate: 400 }, "expected sampleRate to be a whole number of 1000 to 768000, got 400"],
  [{ channels: 65 }, "expected channels to be 1 to 64, got 65"],
  [{ whenFull: "burst" }, "expected whenFull to be drop or wait, got burst"],
  [{ queueMs: 0 }, "expected queueMs to be at least 100, got 0"],
]) {
  test(`impossible settings are refused at once: ${JSON.stringify(settings)}`, () => {
    assert.throws(() => new Simulation().client(settings), { name: "RangeError", message });
  });
}

test("audio in blocks of any kind and length arrives unchanged", async () => {
  // Bytes cut through sample frames, samples of another type, blocks longer than a message.
  const simulation = new Simulation({ finalEveryMs: 0 });
  const client = simulation.client();
  const bytes = new Uint8Array(count(1, 1000).buffer);
  for (let first = 0; first < bytes.length; first += 333) client.send(bytes.slice(first, first + 333));
  client.send(count(1001, 1100));
  client.send(count(1101, 1200).buffer);
  client.send(new DataView(count(1201, 1300).buffer, 100 * 2 - 200, 200));
  client.send(Float32Array.from(count(1301, 1400), (x) => x / 32768));
  const reused = count(1401, 1500);
  client.send(reused);
  reused.fill(0);
  client.stop();
  simulation.run();
  assert.deepEqual(runs(simulation.session.received), [[1, 1500], "stop"]);
  assert.deepEqual(simulation.faults, []);
  assert.equal((await client.finished).phase, "ended");
});

test("float samples are clipped at full scale", () => {
  const simulation = new Simulation({ finalEveryMs: 0 });
  simulation.client().send(Float32Array.of(-2, -1, -0.5, 0, 0.5, 1, 2));
  simulation.run();
  const [samples] = simulation.session.received;
  assert.deepEqual([...samples], [-32_768, -32_768, -16_384, 0, 16_384, 32_767, 32_767]);
});

test("data that is not audio is refused", () => {
  assert.throws(() => new Simulation().client().send("la la"), /got \[object String\]/);
});

test("nothing is accepted after the stop or the end", async () => {
  const simulation = new Simulation();
  const client = simulation.client();
  client.stop();
  const afterStop = "expected nothing after stop(), got more; begin another session";
  assert.equal(messageOf(() => client.send(count(1, 2))), afterStop);
  assert.equal(messageOf(() => client.gap(1)), afterStop);
  simulation.run();
  await client.finished;
  client.stop();
  assert.equal(messageOf(() => client.flush()), "expected an open session, got one that is ended");
});

test("unknown messages are ignored", () => {
  const simulation = new Simulation();
  simulation.client();
  simulation.run();
  for (const data of ["{", "null", "[]", "7", '{"type": 7}', new ArrayBuffer(4)]) {
    simulation.socket.onmessage({ data });
  }
  simulation.send(simulation.socket, { type: "weather", seq: 1, rain: true });
  simulation.send(simulation.socket, { type: "weather", seq: 1, rain: false });
  simulation.send(simulation.socket, { type: "weather" });
  simulation.send(simulation.socket, { type: "ready", session: "another" });
  simulation.run();
  assert.deepEqual(simulation.events, [{ type: "weather", seq: 1, rain: true }]);
  assert.deepEqual(
    simulation.states.slice(1).map(({ ready }) => ready.session),
    ["s1"],
  );
});

test("a closed client delivers nothing more", async () => {
  const simulation = new Simulation();
  const client = simulation.client({
    onEvent: (event) => {
      simulation.events.push(event);
      client.close();
    },
  });
  client.send(count(1, 4000));
  simulation.run();
  client.close();
  simulation.run(() => true);
  assert.equal(simulation.events.length, 1);
  assert.deepEqual(simulation.phases, ["connecting", "live", "closed"]);
  assert.equal(simulation.timers.length, 0);
  assert.equal((await client.finished).phase, "closed");
});
