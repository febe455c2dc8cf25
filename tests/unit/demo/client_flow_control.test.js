/** EmostreamClient: credit, the bounded queue, and audio that has to be dropped. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { Simulation, count, messageOf, runs } from "../../support/demo/simulation.js";

// Credit ---------------------------------------------------------------------------------------

test("audio waits for credit", () => {
  // A session that takes nothing receives a second of audio, and beyond it what began before its end.
  const simulation = new Simulation({ autoAck: false });
  const client = simulation.client();
  const progress = () => [simulation.session.frames / 8, client.unacknowledgedMs, client.unsentMs];
  client.send(count(1, 8 * 2500));
  simulation.run();
  assert.deepEqual(progress(), [1000, 1000, 1500]);
  simulation.acknowledgeAll();
  simulation.run();
  assert.deepEqual(progress(), [2000, 1000, 500]);
  simulation.acknowledgeAll();
  simulation.run();
  simulation.acknowledgeAll();
  simulation.run();
  assert.deepEqual(progress(), [2500, 0, 0]);
  assert.deepEqual(simulation.faults, []);
});

test("marks wait for credit too", () => {
  // The server accepts at most 64 messages other than audio that its session has not taken.
  const simulation = new Simulation({ autoAck: false, finalEveryMs: 0 });
  const client = simulation.client();
  const flushes = () => simulation.session.received.filter((entry) => entry === "flush").length;
  for (let i = 0; i < 100; i++) {
    client.send(count(1 + 40 * i, 40 * (i + 1)));
    client.flush();
  }
  simulation.run();
  assert.equal(flushes(), 48);
  simulation.acknowledgeAll();
  simulation.run();
  simulation.acknowledgeAll();
  simulation.run();
  assert.equal(flushes(), 100);
  assert.deepEqual(simulation.faults, []);
});

test("a recording waits for room in the queue and loses nothing", async () => {
  const simulation = new Simulation({ autoAck: false, finalEveryMs: 0 });
  const client = simulation.client({ whenFull: "wait", queueMs: 500 });
  const sending = (async () => {
    for (let i = 0; i < 20; i++) await client.send(count(1 + 1600 * i, 1600 * (i + 1)));
    client.stop();
  })();
  const unsent = [];
  const turn = () => new Promise((resolve) => setTimeout(resolve));
  while (!simulation.session?.ended) {
    await turn();
    simulation.run();
    await turn();
    unsent.push(client.unsentMs);
    if (unsent.length === 2) {
      assert.equal(
        messageOf(() => client.send(count(1, 2))),
        "expected the promise of the last send() to be awaited, got audio for a full queue",
      );
    }
    simulation.acknowledgeAll();
  }
  await sending;
  assert.deepEqual(runs(simulation.session.received), [[1, 32_000], "stop"]);
  assert.ok(unsent.every((ms) => ms < 700));
  assert.deepEqual(simulation.faults, []);
});

test("a microphone need not wait and nothing piles up", () => {
  // Offline for long: as much audio as the queue holds, and one promise for all callers.
  const simulation = new Simulation({ offline: true });
  const client = simulation.client({ queueMs: 1000 });
  simulation.run();
  const promises = new Set();
  for (let i = 0; i < 1000; i++) promises.add(client.send(count(1, 160)));
  assert.equal(promises.size, 50);
  assert.equal(client.unsentMs, 1_000);
});

test("no caller waits for room in a session that is over", async () => {
  const simulation = new Simulation({ autoAck: false });
  const client = simulation.client({ whenFull: "wait" });
  simulation.run();
  const waiting = client.send(count(1, 8 * 20000)).then(() => "continued");
  client.close();
  assert.equal(await waiting, "continued");
  assert.deepEqual(await client.finished, { phase: "closed", undeliveredMs: 20_000 });
});

// Audio that is dropped ------------------------------------------------------------------------

test("a microphone that is faster than the server loses its oldest audio and reports it", () => {
  const simulation = new Simulation({ autoAck: false, finalEveryMs: 0 });
  const client = simulation.client({ queueMs: 1000 });
  simulation.run();
  for (let i = 0; i < 200; i++) {
    client.send(count(1 + 160 * i, 160 * (i + 1)));
    simulation.run();
  }
  assert.equal(client.unsentMs, 1_000);
  simulation.autoAck = true;
  simulation.acknowledgeAll();
  client.stop();
  simulation.run();
  // Four seconds: the first had credit, the last waited, and the two between them were dropped.
  assert.deepEqual(runs(simulation.session.received), [[1, 8_000], "gap 2000", [24_001, 32_000], "stop"]);
  assert.equal(simulation.session.clockMs, 4_000);
  assert.deepEqual(simulation.events.at(-2), {
    type: "dropped",
    ms: 2_000,
    reason: "the client dropped it",
    seq: 1,
  });
  assert.deepEqual(simulation.faults, []);
});

test("gaps between marks are in their place", () => {
  // Offline, with a caller's gap and flushes among the audio that is dropped: the utterance still ends where it did.
  const simulation = new Simulation({ finalEveryMs: 0, offline: true });
  const client = simulation.client({ queueMs: 1000 });
  client.send(count(1, 800));
  client.gap(50);
  client.flush();
  for (let i = 1; i < 40; i++) {
    client.send(count(1 + 800 * i, 800 * (i + 1)));
    if (i < 30) client.flush();
  }
  simulation.run();
  simulation.offline = false;
  client.stop();
  simulation.run(() => !simulation.session?.ended);
  const marks = ["gap 150", "flush", "gap 2900", "stop"];
  assert.deepEqual(runs(simulation.session.received), [...marks.slice(0, 3), [24_001, 32_000], "stop"]);
  assert.equal(simulation.session.clockMs, 4_050);
  assert.deepEqual(simulation.socket.marks, marks);
  assert.deepEqual(simulation.faults, []);
});

test("marks without effect are not sent", () => {
  // A second flush at the same place; a second gap while the first one is still queued.
  const simulation = new Simulation();
  const client = simulation.client();
  client.gap(5);
  client.gap(6);
  client.flush();
  client.flush();
  client.gap(7);
  client.flush();
  simulation.run();
  client.gap(8);
  client.gap(9);
  simulation.run();
  assert.deepEqual(simulation.socket.marks, ["gap 11", "flush", "gap 7", "gap 8", "gap 9"]);
});

test("gaps of fractions of a millisecond add up", () => {
  // Blocks of 126 frames at 44.1 kHz last 2.9 ms each: a minute of them is a minute.
  const simulation = new Simulation({ finalEveryMs: 0 });
  const client = simulation.client({ sampleRate: 44100 });
  for (let i = 0; i < (44100 * 60) / 126; i++) {
    client.gap(126 / 44.1);
    if (i % 7 === 0) client.send(count(1, 1));
  }
  simulation.run();
  assert.ok(59_999 <= simulation.session.gapMs && simulation.session.gapMs <= 60_000);
  assert.deepEqual(simulation.faults, []);
});

for (const ms of [0, -5, NaN, Infinity]) {
  test(`a gap of ${ms} ms is refused`, () => {
    const message = `expected gap to be milliseconds above 0, got ${ms}`;
    assert.equal(messageOf(() => new Simulation().client().gap(ms)), message);
  });
}

test("a gap of days is sent as several", () => {
  const simulation = new Simulation();
  simulation.client().gap(3 * 24 * 3600000 + 0.5);
  simulation.run();
  assert.deepEqual(
    simulation.events.map(({ ms }) => ms / 3600000),
    [24, 24, 24],
  );
});
