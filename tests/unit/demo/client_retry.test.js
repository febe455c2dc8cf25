/** EmostreamClient: when it reconnects, when it gives a socket up, and when it does not try again. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { Simulation, count } from "../../support/demo/simulation.js";

// A server that does not answer ----------------------------------------------------------------

for (const [where, silence, afterMs, message] of [
  [
    "instead of ready",
    ({ simulation }) => {
      simulation.socket.down.length = 0;
    },
    10_000,
    "the server does not answer",
  ],
  [
    "with the credit used up",
    ({ simulation, client }) => {
      client.send(count(1, 12000));
      simulation.run();
    },
    20_000,
    "the server has gone silent",
  ],
  [
    "after the stop",
    ({ simulation, client }) => {
      simulation.run();
      client.stop();
      simulation.socket.up.length = 0;
      simulation.run();
    },
    20_000,
    "the server has gone silent",
  ],
]) {
  test(`a server that owes a message and is silent is given up: ${where}`, async () => {
    const simulation = new Simulation({ autoAck: false, finalEveryMs: 0 });
    const client = simulation.client();
    silence({ simulation, client });
    simulation.tick();
    const state = simulation.states.at(-1);
    const [silent] = simulation.sockets;
    assert.equal(simulation.now, afterMs);
    assert.equal(state.phase, "reconnecting");
    assert.equal(state.message, message);
    assert.equal(silent.gone ?? false, false);
    let closedWhenLive = null;
    simulation.onState = ({ phase }) => {
      if (phase === "live") closedWhenLive = silent.gone;
    };
    simulation.run(() => closedWhenLive === null);
    assert.equal(closedWhenLive, true);
    if (!simulation.session.ended) simulation.acknowledgeAll();
    simulation.run();
    client.stop();
    simulation.run();
    assert.equal((await client.finished).phase, "ended");
  });
}

test("a server that sends closed and does not close is not waited for", async () => {
  const simulation = new Simulation();
  const client = simulation.client();
  simulation.close = () => {};
  client.stop();
  simulation.run();
  simulation.tick();
  assert.equal(simulation.now, 10_000);
  assert.equal((await client.finished).phase, "ended");
  assert.equal(simulation.socket.gone, true);
});

test("a server that owes nothing may be silent", () => {
  const simulation = new Simulation();
  const client = simulation.client();
  client.send(count(1, 400));
  simulation.run();
  assert.equal(simulation.timers.length, 0);
});

// When to reconnect ----------------------------------------------------------------------------

test("a connection that breaks at once is retried ever more slowly, a stable one resets the backoff", () => {
  const simulation = new Simulation();
  simulation.client();
  for (const lastedMs of [0, 0, 0, 60000, 0]) {
    simulation.runUntilLive();
    simulation.now += lastedMs;
    simulation.cut();
  }
  const delays = simulation.states.filter(({ phase }) => phase === "reconnecting").map(({ delayMs }) => delayMs);
  assert.deepEqual(delays, [500, 1000, 2000, 500, 1000]);
});

for (const code of ["overloaded", "too_many_attempts"]) {
  test(`the server's retry_after_ms is respected: ${code}`, () => {
    const simulation = new Simulation({ refusal: { code: 1013, error: { code, retry_after_ms: 5000 } } });
    simulation.client();
    simulation.run();
    const { delayMs, error } = simulation.states.at(-1);
    simulation.refusal = null;
    simulation.runUntilLive();
    assert.equal(delayMs, 5_500);
    assert.equal(simulation.now, 5_500);
    assert.equal(error.code, code);
    assert.deepEqual(simulation.phases, ["connecting", "reconnecting", "connecting", "live"]);
    assert.deepEqual(simulation.events, []);
    simulation.cut(); // a break of another kind
    assert.equal(simulation.states.at(-1).error, null);
    assert.equal(simulation.states.at(-1).delayMs, 1_000);
  });
}

for (const [closeCode, code] of [
  [4400, "bad_start"],
  [4401, "unauthorized"],
  [4403, "origin_not_allowed"],
  [4409, "session_superseded"],
  [4410, "session_too_long"],
  [1009, null],
]) {
  test(`a request that cannot succeed is not repeated: ${closeCode}`, async () => {
    const simulation = new Simulation();
    const client = simulation.client({ queueMs: 5000 });
    client.send(count(1, 24000));
    simulation.autoAck = false;
    simulation.run();
    if (code) simulation.send(simulation.socket, { type: "error", seq: 0, code, message: "no", fatal: true });
    simulation.close(simulation.socket, closeCode);
    simulation.run();
    client.retryNow();
    const state = await client.finished;
    assert.equal(simulation.sockets.length + simulation.timers.length, 1);
    assert.equal(state.phase, "refused");
    assert.equal(state.code, closeCode);
    assert.equal(state.error?.code ?? null, code);
    assert.equal(state.message, code ? "no" : "");
    assert.equal(state.undeliveredMs, 3_000);
  });
}

for (const [closeCode, code] of [
  [4408, "idle_too_long"],
  [4410, "session_too_long"],
  [4429, "flow_control_exceeded"],
  [1011, "internal"],
]) {
  test(`a session that the server ended reports why: ${code}`, async () => {
    // The error has a place in the session then: it is an event, and in the last state.
    const simulation = new Simulation();
    const client = simulation.client();
    simulation.run();
    simulation.session.addEvent({ type: "error", code, message: "no", fatal: true });
    simulation.end(simulation.session, "error");
    simulation.close = (socket) => Simulation.prototype.close.call(simulation, socket, closeCode);
    simulation.deliver(simulation.socket);
    simulation.run();
    const { phase, reason, error } = await client.finished;
    assert.deepEqual([phase, reason, error.code], ["ended", "error", code]);
    assert.deepEqual(
      simulation.events.map(({ type }) => type),
      ["error", "closed"],
    );
    assert.equal(simulation.timers.length, 0);
  });
}

test("retryNow skips the wait", () => {
  const simulation = new Simulation({ offline: true });
  const client = simulation.client();
  simulation.run();
  simulation.offline = false;
  client.retryNow();
  client.retryNow();
  simulation.run();
  assert.equal(simulation.now, 0);
  assert.equal(simulation.sockets.length, 2);
  assert.ok(simulation.isLive);
  assert.equal(simulation.timers.length, 0);
});
