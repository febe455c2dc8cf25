/** The page's subscription, with a network and a clock that the test provides. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { StreamSubscriber, socketAddress } from "../../../demo/stream_subscriber.js";

for (const [page, socket] of [
  ["http://127.0.0.1:8765/", "ws://127.0.0.1:8765/v1/stream"],
  ["https://voice.example/", "wss://voice.example/v1/stream"],
  ["https://voice.example/index.html?x=1#y", "wss://voice.example/v1/stream"],
  ["https://voice.example/apps/voice/", "wss://voice.example/apps/voice/v1/stream"],
  ["https://voice.example/apps/voice/index.html?x=1#y", "wss://voice.example/apps/voice/v1/stream"],
]) {
  test(`the socket is beside the page, and as secure: ${page}`, () => {
    assert.equal(socketAddress(page), socket);
  });
}

/** A subscriber whose sockets are driven by `script(socket, number)`, until `isDone(reports)`. */
async function reportsOf(script, isDone, { streams = [{ name: "x" }], token = null, waveform = false } = {}) {
  const reports = [];
  const world = { now: 0, sockets: [] };
  class Socket {
    sent = [];
    constructor() {
      world.sockets.push(this);
      queueMicrotask(() => {
        this.onopen();
        script(this, world.sockets.length - 1, world);
      });
    }
    send(text) {
      this.sent.push(JSON.parse(text));
    }
    receive(message) {
      this.onmessage({ data: JSON.stringify(message) });
    }
    close() {}
  }
  await new Promise((done) => {
    const subscriber = new StreamSubscriber({
      base: "http://127.0.0.1/",
      token,
      waveform,
      report: (report) => {
        reports.push(report);
        if (isDone(reports)) {
          subscriber.stop();
          done();
        }
      },
      platform: {
        fetch: async () => Response.json({ streams }),
        WebSocket: Socket,
        setTimeout: (run, ms) => (ms < 10_000 ? queueMicrotask(run) : 0),
        clearTimeout: () => {},
        random: () => 1,
        now: () => world.now,
      },
    });
    subscriber.subscribe();
  });
  return { reports, sockets: world.sockets };
}

const phases = (reports) => reports.filter(({ kind }) => kind === "phase").map(({ phase }) => phase);

test("a connection that breaks at once is retried ever more slowly, a stable one resets the backoff", async () => {
  const lasted = [0, 0, 0, 60_000, 0];
  const delays = (reports) => reports.filter(({ phase }) => phase === "reconnecting").map(({ delayMs }) => delayMs);
  const { reports } = await reportsOf(
    (socket, number, world) => {
      socket.receive({ type: "ready", session: "s" });
      world.now += lasted[number];
      socket.onclose({ code: 1006 });
    },
    (reports) => delays(reports).length === lasted.length,
  );
  assert.deepEqual(delays(reports), [500, 1000, 2000, 500, 1000]);
});

test("it resumes after the last event, and reports no event twice", async () => {
  const events = [1, 2, 3].map((seq) => ({ type: "speech_started", seq, utterance: seq, start_ms: 0 }));
  const { reports, sockets } = await reportsOf(
    (socket, number) => {
      socket.receive({ type: "ready", session: "s", resumed: number > 0, lost_from_seq: number > 0 ? 3 : null });
      for (const event of number === 0 ? events.slice(0, 2) : events) socket.receive(event);
      socket.onclose({ code: 1006 });
    },
    (reports) => phases(reports).filter((phase) => phase === "reconnecting").length === 2,
  );
  assert.deepEqual(sockets[0].sent, [{ type: "subscribe", stream: "x" }]);
  assert.deepEqual(sockets[1].sent, [{ type: "subscribe", stream: "x", resume: { session: "s", last_seq: 2 } }]);
  const reported = reports.filter(({ kind, event }) => kind === "event" && event.type !== "ready");
  assert.deepEqual(
    reported.map(({ event }) => event.seq),
    [1, 2, 3],
  );
  const lost = reports.filter(({ kind }) => kind === "events_lost");
  assert.deepEqual(lost, [{ kind: "events_lost", session: "s", fromSeq: 3 }]);
});

for (const [token, wrong] of [
  [null, false],
  ["yesterday's", true],
]) {
  test(`a refusal is final and asks for a token, ${wrong ? "another" : "the first"} one`, async () => {
    const { reports, sockets } = await reportsOf(
      (socket) => {
        socket.receive({ type: "error", seq: 0, code: "unauthorized", message: "no token", fatal: true });
        socket.onclose({ code: 4401 });
      },
      (reports) => reports.at(-1).kind === "token_required",
      { token },
    );
    assert.equal(sockets.length, 1);
    assert.deepEqual(phases(reports), ["listing", "connecting", "refused"]);
    assert.equal(reports.at(-2).message, "no token");
    assert.deepEqual(reports.at(-1), { kind: "token_required", wrong });
  });
}

test("another session after the end is subscribed to at once", async () => {
  const { reports } = await reportsOf(
    (socket, number) => {
      socket.receive({ type: "ready", session: `s${number}` });
      if (number === 0) {
        socket.receive({ type: "closed", seq: 1, reason: "end_of_stream" });
        socket.onclose({ code: 1000 });
      }
    },
    (reports) => phases(reports).filter((phase) => phase === "live").length === 2,
    { streams: [{ name: "x", session: "s1" }] },
  );
  assert.deepEqual(phases(reports), [
    "listing",
    "connecting",
    "live",
    "ended",
    "connecting",
    "live",
  ]);
});

test("the waveform is asked for once, and after a break from where it ended", async () => {
  const piece = { type: "waveform", from_ms: 400, step_ms: 20, peaks: btoa("\x00\x7f\xff") };
  const { reports, sockets } = await reportsOf(
    (socket, number) => {
      socket.receive({ type: "ready", session: number < 2 ? "s" : "another", resumed: number === 1 });
      socket.receive({ ...piece, peaks: "not base64!" });
      if (number !== 1) socket.receive(piece);
      socket.onclose({ code: 1006 });
    },
    (reports) => phases(reports).filter((phase) => phase === "reconnecting").length === 3,
    { waveform: true },
  );
  assert.deepEqual(
    sockets.map(({ sent }) => sent[0].waveform_from_ms),
    [0, 460, 460],
  );
  const found = reports.filter(({ kind }) => kind === "waveform");
  assert.deepEqual(
    found.map(({ fromMs, stepMs, values }) => [fromMs, stepMs, ...values]),
    [
      [400, 20, 0, 127, 255],
      [400, 20, 0, 127, 255],
    ],
  );
});
