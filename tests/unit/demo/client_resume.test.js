/** EmostreamClient: a session that outlives its sockets, and what happens where the session is lost. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { isDeepStrictEqual } from "node:util";

import { seededRandom } from "../../support/demo/random.js";
import { Simulation, count, runs } from "../../support/demo/simulation.js";

/** Audio, gaps and flushes in uneven pieces; and what a server must receive of it. */
function randomInput(random) {
  const steps = [];
  const sent = [];
  let at = 0;
  for (let i = 0; i < 60; i++) {
    const length = 40 + Math.floor(random() * 600);
    const first = at + 1;
    at += length;
    steps.push((client) => client.send(count(first, first + length - 1)));
    sent.push([first, at]);
    const gap = (ms) => {
      steps.push((client) => client.gap(ms));
      sent.push(ms);
    };
    if (random() < 0.25) gap(1 + Math.floor(random() * 90));
    if (random() < 0.25) {
      steps.push((client) => client.flush());
      sent.push("flush");
    }
    if (random() < 0.15) gap(7);
  }
  steps.push((client) => client.stop());
  const expected = [];
  for (const entry of [...sent, "stop"]) {
    const last = expected.at(-1);
    if (Array.isArray(entry) && Array.isArray(last)) last[1] = entry[1];
    else if (typeof entry !== "number") expected.push(entry);
    else if (String(last).startsWith("gap ")) expected.push(`gap ${Number(expected.pop().slice(4)) + entry}`);
    else expected.push(`gap ${entry}`);
  }
  return { steps, expected };
}

/** Run it: messages arrive, the caller continues, time passes, in random order. Returns what was wrong. */
function runSession({ seed, cuts, lateDelivery }) {
  const random = seededRandom(seed);
  const { steps, expected } = randomInput(random);
  const simulation = new Simulation({ seed, cuts, lateDelivery });
  const client = simulation.client();
  for (let i = 0; !simulation.phases.includes("ended") && i < 10_000; i++) {
    const deliveries = simulation.deliveries();
    const arrive = () => deliveries[Math.floor(random() * deliveries.length)]();
    const choices = [
      ...(deliveries.length ? Array(6).fill(arrive) : []),
      ...(steps.length ? [() => steps.shift()(client)] : []),
      ...(deliveries.length === 0 && simulation.timers.length > 0 ? [() => simulation.tick()] : []),
    ];
    if (choices.length === 0) break;
    choices[Math.floor(random() * choices.length)]();
  }
  const faults = [...simulation.faults];
  const expectSame = (name, got, wanted) => {
    if (!isDeepStrictEqual(got, wanted)) faults.push({ name, got, wanted });
  };
  // Cut before the first `ready`, the client does not know of the session that it was for: that one received nothing.
  expectSame("idle sessions", simulation.sessions.slice(0, -1).flatMap(({ received }) => received), []);
  expectSame("received", runs(simulation.session?.received ?? []), expected);
  expectSame("events", simulation.events, simulation.session?.events);
  expectSame("end", simulation.states.at(-1).phase, "ended");
  expectSame("left", [client.unsentMs, client.unacknowledgedMs], [0, 0]);
  return { faults, messages: simulation.sockets[0].messages, sockets: simulation.sockets.length };
}

// A resumed session equals the uncut one -------------------------------------------------------

for (const lateDelivery of [false, true]) {
  const network = lateDelivery ? "late delivery" : "no late delivery";

  for (const seed of [1, 2, 3]) {
    test(`cut after any message, the session is that of the uncut run (seed ${seed}, ${network})`, () => {
      // Every sample, gap and flush once and in its place, every event once and in order.
      const uncut = runSession({ seed, lateDelivery, cuts: [] });
      assert.deepEqual(uncut.faults, []);
      assert.equal(uncut.sockets, 1);
      assert.ok(uncut.messages > 100);
      for (let cut = 1; cut <= uncut.messages; cut++) {
        const { faults, sockets } = runSession({ seed, lateDelivery, cuts: [cut] });
        assert.deepEqual(faults, [], `cut after message ${cut}`);
        assert.ok(sockets <= 2);
      }
    });
  }

  test(`cut many times, the session is that of the uncut run (${network})`, () => {
    let sockets = 0;
    for (let seed = 100; seed < 500; seed++) {
      const random = seededRandom(seed);
      const cuts = Array.from({ length: 12 }, () => 1 + Math.floor(random() * 40));
      const session = runSession({ seed, cuts, lateDelivery });
      sockets += session.sockets;
      assert.deepEqual(session.faults, [], `seed ${seed}`);
    }
    assert.ok(sockets > 2_000);
  });
}

test("acknowledged audio is not kept", () => {
  const simulation = new Simulation({ autoAck: false, finalEveryMs: 0 });
  const client = simulation.client();
  client.send(count(1, 4000));
  simulation.run();
  simulation.session.acked = 2500;
  simulation.deliver(simulation.socket);
  simulation.run();
  assert.equal(client.unacknowledgedMs, 187.5);
  // The session cannot be resumed: everything that is kept is sent again.
  simulation.forgetSessions();
  simulation.cut();
  simulation.runUntilLive();
  assert.deepEqual(runs(simulation.session.received), [[2501, 4000]]);
});

/** A client that has sent half a second, of which the server has received all and committed `committed`. */
function uncommitted({ committed, ...settings }) {
  const simulation = new Simulation({ autoAck: false, finalEveryMs: 0 });
  const client = simulation.client(settings);
  simulation.run();
  for (let first = 1; first < 4000; first += 400) client.send(count(first, first + 399));
  simulation.run();
  Object.assign(simulation.session, { acked: 4000, committed });
  simulation.deliver(simulation.socket);
  simulation.run();
  assert.equal(client.unacknowledgedMs, 0);
  return { simulation, client };
}

/** The server is killed, and another one started. */
function restart(simulation) {
  simulation.forgetSessions();
  simulation.cut();
  simulation.runUntilLive();
}

test("a server that is killed hears again what it had not committed", () => {
  const { simulation } = uncommitted({ committed: 1000 });
  restart(simulation);
  assert.deepEqual(runs(simulation.session.received), [[1001, 4000]]);
  const lost = simulation.states.find(({ phase }) => phase === "lost");
  assert.deepEqual(lost, { phase: "lost", session: "s1", lostFromSeq: 1, lostAudioMs: 0 });
  assert.equal(simulation.states.at(-1).offsetMs, 125);
});

test("what has its final is not heard again although its ack was lost", () => {
  const { simulation } = uncommitted({ committed: 1000 });
  simulation.session.addEvent({ type: "emotion", utterance: 1, final: true, end_ms: 300, label: "sad" });
  simulation.deliver(simulation.socket);
  simulation.run();
  restart(simulation);
  assert.deepEqual(runs(simulation.session.received), [[2401, 4000]]);
  assert.equal(simulation.states.at(-1).offsetMs, 300);
});

test("what was not committed is not dropped to make room for more", () => {
  const { simulation, client } = uncommitted({ committed: 0, queueMs: 100 });
  simulation.offline = true;
  simulation.forgetSessions();
  simulation.cut();
  client.send(count(4001, 8000)); // 500 ms, of which the queue holds the last 100
  simulation.offline = false;
  simulation.runUntilLive();
  client.send(count(8001, 8400));
  simulation.session.acked = 4000;
  simulation.deliver(simulation.socket);
  simulation.run();
  assert.deepEqual(runs(simulation.session.received), [[1, 4000], "gap 400", [7201, 8400]]);
});

test("a server that shuts down after it has taken everything has finished the session", () => {
  const { simulation, client } = uncommitted({ committed: 0 });
  simulation.onStop = (session) => simulation.end(session, "shutting_down");
  client.stop();
  simulation.run();
  assert.deepEqual(simulation.phases.at(-1), "ended");
  assert.equal(simulation.states.at(-1).undeliveredMs, 0);
});

test("a resume carries the session, the token and the last seq", () => {
  const simulation = new Simulation();
  const client = simulation.client({ token: "abc" });
  client.send(count(1, 1200));
  simulation.run();
  simulation.cut();
  simulation.runUntilLive();
  const { start } = simulation.socket;
  assert.deepEqual(start.resume, { session: "s1", resume_token: "token of s1", last_seq: 3 });
  assert.equal(start.token, "abc");
  assert.deepEqual(simulation.phases, ["connecting", "live", "reconnecting", "connecting", "live"]);
  assert.equal(simulation.states.at(-1).offsetMs, 0);
});

test("events that the server no longer has are reported", () => {
  const simulation = new Simulation();
  simulation.client();
  simulation.run();
  simulation.cut();
  simulation.send = (socket, message) => {
    const lossy = message.type === "ready" ? { ...message, lost_from_seq: 1 } : message;
    Simulation.prototype.send.call(simulation, socket, lossy);
  };
  simulation.runUntilLive();
  const lost = simulation.states.find(({ phase }) => phase === "lost");
  assert.deepEqual(lost, { phase: "lost", session: "s1", lostFromSeq: 1, lostAudioMs: 0 });
});

test("gaps of which some have arrived are continued", () => {
  // A muted microphone reports each block that is missing. The break comes between two of them.
  const simulation = new Simulation({ finalEveryMs: 0, autoAck: false });
  const client = simulation.client();
  client.send(count(1, 80));
  simulation.run();
  for (let i = 0; i < 100; i++) {
    client.gap(20);
    if (i === 59) simulation.run();
  }
  simulation.cut();
  client.gap(20);
  client.send(count(81, 160));
  simulation.runUntilLive();
  simulation.acknowledgeAll();
  simulation.run();
  simulation.forgetSessions();
  simulation.cut();
  assert.deepEqual(runs(simulation.session.received), [[1, 80], "gap 2020", [81, 160]]);
  simulation.runUntilLive();
  assert.deepEqual(simulation.socket.marks, []);
  assert.equal(simulation.states.at(-1).offsetMs, 2_040);
});

test("a gap that did not arrive is merged with the one after it", () => {
  const simulation = new Simulation({ finalEveryMs: 0 });
  const client = simulation.client();
  simulation.run();
  client.gap(10);
  simulation.cut();
  simulation.onState = ({ phase }) => {
    if (phase === "live") client.gap(5);
  };
  simulation.runUntilLive();
  assert.deepEqual(simulation.socket.marks, ["gap 15"]);
});

test("a message of which the server has received the head only is continued", () => {
  const simulation = new Simulation({ autoAck: false, finalEveryMs: 0 });
  simulation.client().send(count(1, 800));
  simulation.run();
  simulation.session.received = [count(1, 130)];
  simulation.session.frames = 130;
  simulation.cut();
  simulation.runUntilLive();
  assert.deepEqual(runs(simulation.session.received), [[1, 800]]);
});

// A session that is lost -----------------------------------------------------------------------

test("a lost session is reported and another one continues with what is kept", () => {
  // Two seconds were sent, 1400 ms acknowledged, finals came up to 1000 ms: 400 ms are lost, the rest is sent again,
  // after the flush that lies there.
  const simulation = new Simulation({ autoAck: false, finalEveryMs: 0 });
  const client = simulation.client();
  client.send(count(1, 8000));
  simulation.run();
  simulation.addFinal(simulation.session);
  simulation.acknowledgeAll();
  simulation.run();
  client.send(count(8001, 11200));
  simulation.run();
  simulation.acknowledgeAll();
  client.send(count(11201, 14400));
  client.flush();
  client.send(count(14401, 16000));
  simulation.run();
  simulation.forgetSessions();
  simulation.cut();
  client.send(count(16001, 16800));
  simulation.runUntilLive();
  client.stop();
  simulation.run();
  const lost = simulation.states.find(({ phase }) => phase === "lost");
  assert.deepEqual(lost, { phase: "lost", session: "s1", lostFromSeq: 2, lostAudioMs: 400 });
  const live = simulation.states.filter(({ phase }) => phase === "live");
  assert.deepEqual(
    live.map(({ offsetMs }) => offsetMs),
    [0, 1400],
  );
  assert.deepEqual(runs(simulation.session.received), [[11_201, 14_400], "flush", [14_401, 16_800], "stop"]);
  assert.deepEqual(
    simulation.events.map(({ type, seq }) => [type, seq]),
    [
      ["emotion", 1],
      ["closed", 1],
    ],
  );
  assert.equal(client.unsentMs, 0);
  assert.deepEqual(simulation.faults, []);
});

test("another session does not get audio that a final has covered", () => {
  // Finals up to 1150 ms, acknowledged up to nothing: the rest begins there, 50 ms after the gap's end.
  const simulation = new Simulation({ autoAck: false, finalEveryMs: 0 });
  const client = simulation.client();
  client.send(count(1, 4000));
  client.gap(600);
  client.flush();
  client.send(count(4001, 7000));
  simulation.run();
  simulation.session.addEvent({ type: "emotion", utterance: 1, final: true, end_ms: 1150 });
  simulation.deliver(simulation.socket);
  simulation.run();
  simulation.forgetSessions();
  simulation.cut();
  simulation.runUntilLive();
  const lost = simulation.states.find(({ phase }) => phase === "lost");
  assert.equal(lost.lostAudioMs, 0);
  assert.equal(simulation.states.at(-1).offsetMs, 1150);
  assert.deepEqual(runs(simulation.session.received), [[4401, 7000]]);
});

test("the offset of another session counts the gaps before it", () => {
  const simulation = new Simulation({ autoAck: false, finalEveryMs: 0 });
  const client = simulation.client();
  client.send(count(1, 800));
  client.gap(250);
  client.send(count(801, 1600));
  simulation.run();
  simulation.acknowledgeAll();
  simulation.run();
  simulation.forgetSessions();
  simulation.cut();
  simulation.runUntilLive();
  assert.equal(simulation.states.find(({ phase }) => phase === "lost").lostAudioMs, 450);
  assert.equal(simulation.states.at(-1).offsetMs, 450);
});

test("a session that is lost after the stop is ended all the same", async () => {
  // A final may cover more than was sent: the last frame is padded. The stop is for the next session.
  const simulation = new Simulation({ autoAck: false, finalEveryMs: 0 });
  const client = simulation.client();
  client.send(count(1, 800));
  simulation.run();
  simulation.session.addEvent({ type: "emotion", utterance: 1, final: true, end_ms: 120 });
  simulation.deliver(simulation.socket);
  simulation.run();
  simulation.forgetSessions();
  client.stop();
  simulation.cut();
  simulation.run(() => simulation.sockets.length < 2);
  simulation.run();
  assert.deepEqual(runs(simulation.session.received), ["stop"]);
  assert.equal((await client.finished).phase, "ended");
});

test("a server that is restarted in an orderly way loses nothing", () => {
  // It sent `closed` after everything it knew: what it did not take is for the next session.
  const simulation = new Simulation({ autoAck: false, finalEveryMs: 0 });
  const client = simulation.client();
  client.send(count(1, 1600));
  simulation.run();
  simulation.end(simulation.session, "shutting_down");
  client.send(count(1601, 2400)); // too late
  simulation.deliver(simulation.socket);
  simulation.run();
  simulation.runUntilLive();
  client.stop();
  simulation.run();
  assert.deepEqual(simulation.phases, ["connecting", "live", "reconnecting", "connecting", "live", "ended"]);
  assert.equal(simulation.socket.start.resume, undefined);
  assert.deepEqual(runs(simulation.session.received), [[1601, 2400], "stop"]);
  const live = simulation.states.filter(({ phase }) => phase === "live");
  assert.deepEqual(
    live.map(({ offsetMs }) => offsetMs),
    [0, 200],
  );
});

test("a server that shuts down after the last audio is not waited for", async () => {
  const simulation = new Simulation({ autoAck: false });
  const client = simulation.client();
  client.send(count(1, 1600));
  simulation.run();
  simulation.end(simulation.session, "shutting_down");
  client.stop();
  simulation.deliver(simulation.socket);
  simulation.run();
  const { phase, reason, code, undeliveredMs } = await client.finished;
  assert.deepEqual(
    { phase, reason, code, undeliveredMs },
    { phase: "ended", reason: "shutting_down", code: 1001, undeliveredMs: 0 },
  );
});

test("a session that failed inside the server is not resumed", () => {
  const simulation = new Simulation();
  simulation.client();
  simulation.run();
  simulation.send(simulation.socket, { type: "error", seq: 0, code: "internal", message: "oh", fatal: true });
  simulation.close(simulation.socket, 1011);
  simulation.run(() => simulation.sockets.length < 2);
  simulation.run();
  assert.equal(simulation.socket.start.resume, undefined);
  const lost = simulation.states.find(({ phase }) => phase === "lost");
  assert.deepEqual(lost, { phase: "lost", session: "s1", lostFromSeq: 1, lostAudioMs: 0 });
  assert.equal(simulation.states[2].message, "oh");
});
