/** The page's session log: one clock for all sessions of a source, and what is known on it. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { readEvent } from "../../../demo/events.js";
import { MAX_FINALS, SessionLog } from "../../../demo/session_log.js";
import { LABELS, emotion, interim, noEmotion, numbered, speechStarted } from "../../support/demo/messages.js";
import { randomChoice, randomInt, range, seededRandom } from "../../support/demo/random.js";

// Steps: [method, now, ...arguments].
const append = (message, now = 0, offsetMs = null) => ["append", now, message, offsetMs];
const appendAll = (...messages) => numbered(messages).map((message) => append(message));
const start = (now) => ["start", now];
const stop = (now) => ["stop", now];
const advance = (ms, now) => ["advance", now, ms];
const look = (now) => ["look", now];

/** What a new log contains after these steps. appended: what `append` returned; edges: the live edge after each step. */
function after(...steps) {
  const log = new SessionLog();
  const [appended, edges] = [[], []];
  const methods = {
    append: (now, wire, offsetMs) => appended.push(log.append(readEvent(wire), wire, now, offsetMs)),
    start: (now) => log.startClock(now),
    stop: (now) => log.stopClock(now),
    advance: (now, ms) => log.advance(ms, now),
    look: () => {},
  };
  for (const [method, now, ...rest] of steps) {
    methods[method](now, ...rest);
    edges.push(log.liveEdgeMs(now));
  }
  const { finals, open, marks, removed, labels, session, offsetMs, lines } = log;
  const contents = { finals, open, marks, removed, labels, session, offsetMs, lines };
  return { ...contents, shares: log.shares(), latency: log.latency(), appended, edges };
}

const ready = (session, labels = LABELS) => ({ type: "ready", session, labels });

const final = (utterance, label, startMs, endMs) =>
  emotion(utterance, label, "", { start_ms: startMs, end_ms: endMs });

const failed = (utterance) => ({ type: "error", code: "analysis_failed", message: "no", fatal: false, utterance });

const closed = (audioMs) => ({
  type: "closed",
  reason: "end_of_stream",
  totals: { audio_ms: audioMs, utterances: 1, dropped_ms: 0 },
});

const spans = ({ finals }) => finals.map(({ key, startMs, endMs }) => [key, startMs, endMs]);

function contents(found) {
  const { appended, edges, ...rest } = found;
  return rest;
}

// The clock ------------------------------------------------------------------------------------

test("the first session's clock is the page's", () => {
  const found = after(append(ready("a")), ...appendAll(speechStarted(1), emotion(1)));
  assert.deepEqual([found.session, found.offsetMs, found.marks], ["a", 0, []]);
  assert.deepEqual(spans(found), [["a/1", 4_000, 6_500]]);
});

for (const [endMs, offsetMs] of [
  [6_500, 7_000],
  [6_501, 8_000],
  [7_499, 8_000],
]) {
  test(`a new session continues after the old one: ${endMs}`, () => {
    // The old one lasted to the end of its final and half a second of pause; the new one begins at a whole second. Its
    // utterances are numbered on.
    const found = after(
      append(ready("a")),
      ...appendAll(final(1, "sad", 4_000, endMs)),
      append(ready("b")),
      ...appendAll(speechStarted(1), final(1, "happy", 4_000, 6_000), speechStarted(2)),
    );
    assert.deepEqual([found.session, found.offsetMs], ["b", offsetMs]);
    assert.deepEqual(spans(found), [
      ["a/1", 4_000, endMs],
      ["b/2", offsetMs + 4_000, offsetMs + 6_000],
    ]);
    assert.deepEqual(
      found.open.map(({ key, startMs }) => [key, startMs]),
      [["b/3", offsetMs + 8_000]],
    );
    assert.deepEqual(found.marks, [{ kind: "session", fromMs: offsetMs, toMs: offsetMs }]);
  });
}

test("the offset of a session can be given", () => {
  const first = after(append(ready("a"), 0, 0), ...appendAll(emotion(1)));
  assert.deepEqual(spans(first), [["a/1", 4_000, 6_500]]);
  const found = after(
    append(ready("a"), 0, 0),
    ...appendAll(emotion(1)),
    append(ready("b"), 0, 30_250),
    ...appendAll(emotion(1)),
  );
  assert.deepEqual(spans(found), [
    ["a/1", 4_000, 6_500],
    ["b/2", 34_250, 36_750],
  ]);
  assert.deepEqual(
    found.marks.map(({ fromMs }) => fromMs),
    [30_250],
  );
});

test("a resumed session continues where it was", () => {
  const [first, second] = appendAll(emotion(1), emotion(2));
  const found = after(
    append(ready("a")),
    append(ready("b"), 0, 10_000),
    first,
    append(ready("b"), 0, 99_000),
    second,
  );
  assert.equal(found.offsetMs, 10_000);
  assert.deepEqual(spans(found), [
    ["b/1", 14_000, 16_500],
    ["b/2", 18_000, 20_500],
  ]);
  assert.equal(found.marks.length, 1);
});

test("events are returned on the page's clock", () => {
  const steps = appendAll(speechStarted(1), interim(1), emotion(1), closed(7_000));
  const { appended } = after(append(ready("a"), 0, 10_000), ...steps);
  assert.deepEqual(
    appended.map(({ type }) => type),
    ["ready", "speech_started", "emotion", "emotion", "closed"],
  );
  assert.deepEqual(
    appended.slice(1, 4).map(({ startMs }) => startMs),
    [14_000, 14_000, 14_000],
  );
  assert.deepEqual(
    appended.slice(2, 4).map(({ endMs }) => endMs),
    [16_500, 16_500],
  );
  assert.equal(appended[4].totals.audioMs, 7_000); // a duration, not a position
});

test("a repeated event is not appended", () => {
  const steps = appendAll(speechStarted(1), emotion(1), speechStarted(2));
  const twice = [append(ready("a")), ...steps, append(ready("a")), ...steps];
  const found = after(...twice, append(ready("b")), ...steps);
  assert.deepEqual(
    found.appended.map((event) => event === null),
    [
      ...[false, false, false, false],
      ...[false, true, true, true], // `ready` has no number
      ...[false, false, false, false], // another session is numbered anew
    ],
  );
  assert.deepEqual(
    spans(found).map(([key]) => key),
    ["a/1", "b/3"],
  );
});

test("an event without a place in the session is returned each time", () => {
  const refusal = { ...failed(null), seq: 0 };
  const { appended } = after(append(ready("a")), append(refusal), append(refusal));
  assert.deepEqual(
    appended.map((event) => event?.type),
    ["ready", "error", "error"],
  );
});

/** Utterances that overlap by one, some with interim results, some that fail, with losses in between. */
function randomStream(random, length) {
  const messages = [];
  const waiting = [];
  for (let utterance = 1; utterance <= length; utterance++) {
    messages.push(speechStarted(utterance));
    waiting.push(utterance);
    if (random() < 0.3) messages.push(interim(utterance));
    while (waiting.length > randomInt(random, 0, 2)) {
      const done = waiting.shift();
      messages.push(random() < 0.1 ? failed(done) : emotion(done, randomChoice(random, LABELS)));
    }
    if (random() < 0.1) messages.push({ type: "dropped", ms: 20, reason: "too slow" });
  }
  return messages;
}

for (const seed of range(4)) {
  test(`a break changes nothing (seed ${seed})`, () => {
    // Cut anywhere, and however much is repeated: the contents are those of the uncut run.
    const random = seededRandom(seed);
    const steps = appendAll(...randomStream(random, 60));
    const uncut = contents(after(append(ready("a")), ...steps));
    assert.ok(uncut.finals.length > 40);
    const cut = randomInt(random, 1, steps.length);
    for (const repeatedFrom of [cut, randomInt(random, 0, cut), 0]) {
      const resumed = [append(ready("a")), ...steps.slice(0, cut), append(ready("a")), ...steps.slice(repeatedFrom)];
      assert.deepEqual(contents(after(...resumed)), uncut);
    }
  });
}

// Utterances -----------------------------------------------------------------------------------

test("an utterance is open until its final", () => {
  const steps = [
    append(ready("a")),
    ...appendAll(speechStarted(1), interim(1, "sad"), interim(1, "happy"), speechStarted(2), emotion(1, "angry")),
  ];
  const states = steps.map((_, i) => {
    const { open, finals } = after(...steps.slice(0, i + 1));
    return [
      Object.fromEntries(open.map(({ key, emotion }) => [key, emotion && emotion.label])),
      Object.fromEntries(finals.map(({ key, label }) => [key, label])),
    ];
  });
  assert.deepEqual(states, [
    [{}, {}],
    [{ "a/1": null }, {}],
    [{ "a/1": "sad" }, {}],
    [{ "a/1": "happy" }, {}],
    [{ "a/1": "happy", "a/2": null }, {}],
    [{ "a/2": null }, { "a/1": "angry" }],
  ]);
});

for (const [name, message, left] of [
  ["its error", failed(1), ["a/2"]],
  ["another error", failed(null), ["a/1", "a/2"]],
  ["another utterance's error", failed(7), ["a/1", "a/2"]],
  ["the end", closed(20_000), []],
  ["a resume", ready("a"), ["a/1", "a/2"]],
  ["a new session", ready("b"), []],
]) {
  test(`unfinished utterances after ${name}`, () => {
    const started = appendAll(speechStarted(1), speechStarted(2));
    const found = after(append(ready("a")), ...started, append(message));
    assert.deepEqual(
      found.open.map(({ key }) => key),
      left,
    );
    assert.deepEqual(found.finals, []);
  });
}

test("lost audio without a position is marked up to the live edge", () => {
  const lost = { type: "dropped", ms: 1_200, reason: "too slow" };
  const found = after(
    append(ready("a")),
    append(lost),
    append(speechStarted(1)),
    start(5_000),
    append(lost, 5_300),
  );
  assert.deepEqual(found.marks, [
    { kind: "lost", fromMs: 0, toMs: 0 },
    { kind: "lost", fromMs: 3_100, toMs: 4_300 },
  ]);
});

test("lost audio is marked at its position", () => {
  // The server sends the position, so that it is right whenever the event is read.
  const lost = { type: "dropped", ms: 1_200, reason: "too slow", at_ms: 2_000 };
  const found = after(append(ready("a")), append(speechStarted(9)), start(5_000), append(lost, 8_000));
  assert.deepEqual(found.marks, [{ kind: "lost", fromMs: 2_000, toMs: 3_200 }]);
  const shifted = after(append(ready("a"), 0, 10_000), append(lost));
  assert.deepEqual(shifted.marks, [{ kind: "lost", fromMs: 12_000, toMs: 13_200 }]);
});

// The live edge --------------------------------------------------------------------------------

for (const offsetMs of [0, 20_000]) {
  for (const [name, message, edgeMs] of [
    ["speech", speechStarted(1), 4_000],
    ["interim", interim(1), 6_500],
    ["final", emotion(1), 7_000], // and the half second of pause that ended it
    ["final without timing", emotion(1, "angry", "", { timing: null }), 6_500],
    ["closed", closed(9_100), 9_100],
    ["error", failed(1), 0],
  ]) {
    test(`an event moves the live edge: ${name}, offset ${offsetMs}`, () => {
      const found = after(append(ready("a"), 0, offsetMs), append(message, 77));
      assert.deepEqual(found.edges, [offsetMs, offsetMs + edgeMs]);
    });
  }
}

test("the live edge moves by itself only while the source is live", () => {
  const found = after(
    append(ready("a"), 50),
    append(speechStarted(1), 100),
    look(400), // not live yet
    start(400),
    look(650),
    append(speechStarted(1), 700), // no change: the clock is ahead of it
    stop(900),
    look(90_000),
  );
  assert.deepEqual(found.edges, [0, 4_000, 4_000, 4_000, 4_250, 4_300, 4_500, 4_500]);
});

test("the end stops the clock, and tells how much audio there was", () => {
  const begun = [append(ready("a")), start(0)];
  const later = after(...begun, append(closed(9_000), 2_000), look(60_000));
  assert.deepEqual(later.edges.slice(-2), [9_000, 9_000]);
  const earlier = after(...begun, append(closed(1_500), 2_000), look(60_000));
  assert.deepEqual(earlier.edges.slice(-2), [1_500, 1_500]);
});

test("audio moves the live edge", () => {
  const found = after(
    append(ready("a")),
    advance(3_000, 10),
    advance(2_000, 20),
    start(20),
    look(120),
    advance(8_000, 130),
  );
  assert.deepEqual(found.edges, [0, 3_000, 3_000, 3_000, 3_100, 8_000]);
});

test("a subscriber that joins late knows the stream's position", () => {
  const found = after(append({ ...ready("a"), clock_ms: 600_000 }), look(0));
  assert.equal(found.edges.at(-1), 600_000);
});

test("a pause of the connection is no time of the source", () => {
  const found = after(append(ready("a")), start(0), stop(1_000), look(61_000), start(61_000), look(61_250));
  assert.deepEqual(found.edges.slice(3), [1_000, 1_000, 1_250]);
});

for (const seed of range(6)) {
  test(`the live edge never goes back (seed ${seed})`, () => {
    // It is the furthest of all reported positions, each advanced by the live time since.
    const random = seededRandom(seed);
    const steps = [append(ready("a"))];
    const expected = [0];
    let now = 0;
    let liveMs = 0;
    let isLive = false;
    const known = [[0, 0]]; // a position, and how long the source had been live when it was reported
    const edge = () => Math.max(...known.map(([ms, at]) => ms - at)) + liveMs;
    for (let i = 0; i < 300; i++) {
      const passed = randomInt(random, 0, 2_000);
      now += passed;
      liveMs += isLive ? passed : 0;
      const reported = () => {
        known.push([Math.max(0, edge() + randomInt(random, -3_000, 3_000)), liveMs]);
        return known.at(-1)[0];
      };
      switch (randomChoice(random, ["advance", "start", "stop", "look", "speech"])) {
        case "advance":
          steps.push(advance(reported(), now));
          break;
        case "speech":
          steps.push(append({ ...speechStarted(1), start_ms: reported() }, now));
          break;
        case "start":
          isLive = true;
          steps.push(start(now));
          break;
        case "stop":
          isLive = false;
          steps.push(stop(now));
          break;
        default:
          steps.push(look(now));
      }
      expected.push(edge());
    }
    const { edges } = after(...steps);
    assert.deepEqual(edges, expected);
    assert.deepEqual(
      edges,
      edges.toSorted((a, b) => a - b),
    );
  });
}

// Shares and latency ---------------------------------------------------------------------------

test("shares are of the duration of speech", () => {
  // Ten seconds of speech; a label that `ready` did not name comes after those that it did.
  const found = after(
    append(ready("a")),
    ...appendAll(
      final(1, "bored", 0, 500),
      final(2, "sad", 1_000, 5_000),
      interim(3, "angry", { start_ms: 5_000, end_ms: 9_000 }),
      final(3, "happy", 5_000, 9_000),
      final(4, "sad", 10_000, 11_500),
    ),
  );
  assert.deepEqual(
    found.shares.map(({ label, ms, count, share }) => [label, ms, count, share]),
    [
      ["angry", 0, 0, 0],
      ["happy", 4_000, 1, 0.4],
      ["sad", 5_500, 2, 0.55],
      ["neutral", 0, 0, 0],
      ["bored", 500, 1, 0.05],
    ],
  );
});

test("without speech every share is 0", () => {
  const { shares } = after(append(ready("a", ["calm", "angry"])));
  assert.deepEqual(
    shares,
    ["calm", "angry"].map((label) => ({ label, ms: 0, count: 0, share: 0 })),
  );
});

for (const seed of range(3)) {
  test(`shares add up to one (seed ${seed})`, () => {
    const random = seededRandom(seed);
    const spoken = Object.fromEntries([...LABELS, "bored"].map((label) => [label, 0]));
    const finals = range(200).map((utterance) => {
      const label = randomChoice(random, Object.keys(spoken));
      const length = randomInt(random, 100, 28_000);
      spoken[label] += length;
      return final(utterance, label, utterance * 30_000, utterance * 30_000 + length);
    });
    const { shares } = after(append(ready("a")), ...appendAll(...finals));
    const total = Object.values(spoken).reduce((sum, ms) => sum + ms, 0);
    assert.deepEqual(Object.fromEntries(shares.map(({ label, ms }) => [label, ms])), spoken);
    assert.deepEqual(
      shares.map(({ share }) => share),
      Object.values(spoken).map((ms) => ms / total),
    );
    assert.ok(Math.abs(shares.reduce((sum, { share }) => sum + share, 0) - 1) < 1e-9);
    assert.equal(
      shares.reduce((sum, { count }) => sum + count, 0),
      200,
    );
  });
}

/** The smallest value that at least this part of all values does not exceed, found by counting. */
function percentile(values, part) {
  const within = (limit) => values.filter((value) => value <= limit).length >= part * values.length;
  return Math.min(...values.filter(within));
}

for (const count of [1, 2, 3, 19, 20, 21, 100, 997]) {
  test(`latencies are percentiles by nearest rank: ${count} finals`, () => {
    // Of the total, and of what remains after the pause that had to be waited for.
    const random = seededRandom(count);
    const rounded = (ms) => Math.round(ms * 10) / 10;
    const [finals, totals, afterEndpoint] = [[], [], []];
    for (const utterance of range(count)) {
      const endpoint = rounded(200 + 700 * random());
      const total = rounded(endpoint - 200 * Math.log(1 - random()));
      totals.push(total);
      afterEndpoint.push(total - endpoint);
      const timing = { ...emotion(0).timing, endpoint_ms: endpoint, total_ms: total };
      finals.push(interim(utterance), emotion(utterance, "angry", "", { timing }));
    }
    const { latency } = after(append(ready("a")), ...appendAll(...finals));
    for (const [name, values] of Object.entries({ total: totals, afterEndpoint })) {
      assert.deepEqual(latency[name], { p50: percentile(values, 0.5), p95: percentile(values, 0.95) });
    }
    assert.equal(latency.count, count);
  });
}

test("without finals there is no latency", () => {
  const { latency } = after(append(ready("a")), ...appendAll(interim(1)));
  assert.deepEqual(latency, { count: 0, total: null, afterEndpoint: null });
});

// Lines ----------------------------------------------------------------------------------------

test("lines are the events of the wire as they were received, without interim results", () => {
  // Each once; fields that this page does not know are kept.
  const word = { text: "stop", start_ms: 4_100, end_ms: 4_400, confidence: 0.9, stress: 2 };
  const messages = numbered([
    speechStarted(1),
    interim(1),
    emotion(1, "angry", "stop it", { words: [word], arousal: 0.7 }),
    { type: "dropped", ms: 20, reason: "too slow" },
    failed(2),
    closed(9_000),
  ]);
  const steps = messages.map((message) => append(message));
  const found = after(append(ready("a")), ...steps, ...steps);
  assert.deepEqual(
    found.lines.map((line) => JSON.parse(line)),
    messages.filter(({ final }) => final !== false),
  );
  const shifted = after(append(ready("a"), 0, 10_000), ...steps);
  assert.deepEqual(shifted.lines, found.lines);
});

// Bounds ---------------------------------------------------------------------------------------

test("a long day is counted completely and kept in part", () => {
  // A second of speech every two seconds, angry and sad in turns.
  const count = 12_345;
  const log = new SessionLog();
  log.append(readEvent({ type: "ready", session: "a", labels: ["angry", "sad"] }), null, 0);
  for (let i = 1; i <= count; i++) {
    const timing = { ...emotion(1).timing, endpoint_ms: 0, total_ms: i };
    const wire = { ...final(i, i % 2 ? "angry" : "sad", 2_000 * i, 2_000 * i + 1_000), seq: i, timing };
    log.append(readEvent(wire), wire, 0);
    assert.ok(log.finals.length <= MAX_FINALS);
    assert.equal(log.removed + log.finals.length, i);
  }
  assert.equal(MAX_FINALS, 10_000);
  const kept = log.finals.map(({ utterance }) => utterance);
  assert.deepEqual(
    kept,
    range(count - log.removed).map((i) => log.removed + 1 + i),
  );
  assert.ok(kept.length >= 9_000);
  assert.equal(log.lines.length, count);
  assert.deepEqual(
    log.shares().map(({ label, count, ms }) => [label, count, ms]),
    [
      ["angry", 6_173, 6_173_000],
      ["sad", 6_172, 6_172_000],
    ],
  );
  const { count: measured, total, afterEndpoint } = log.latency();
  assert.equal(measured, kept.length);
  const rank = (part) => kept[Math.ceil(part * kept.length) - 1]; // they are sorted
  assert.deepEqual(total, { p50: rank(0.5), p95: rank(0.95) });
  assert.deepEqual(afterEndpoint, total);
});

test("lines and marks are bounded", () => {
  const log = new SessionLog();
  log.append(readEvent({ type: "ready", session: "a" }), null, 0);
  let [lines, marks] = [0, 0];
  for (let seq = 1; seq <= 45_000; seq++) {
    const wire = { type: "dropped", ms: 20, reason: "too slow", seq };
    log.append(readEvent(wire), wire, 0);
    lines = Math.max(lines, log.lines.length);
    marks = Math.max(marks, log.marks.length);
  }
  assert.deepEqual([lines, marks], [40_000, 10_000]);
  assert.equal(JSON.parse(log.lines.at(-1)).seq, 45_000);
  assert.equal(JSON.parse(log.lines[0]).seq, 45_000 - log.lines.length + 1);
});

// Without an emotion ---------------------------------------------------------------------------

test("a sound without speech is a mark: it is open no more, and no emotion's share grows", () => {
  const before = appendAll(speechStarted(1), emotion(1, "sad"), speechStarted(2), noEmotion(2));
  const found = after(append(ready("a")), ...before);
  assert.deepEqual(found.open, []);
  assert.deepEqual(found.marks, [{ kind: "no_emotion", fromMs: 8_000, toMs: 10_500, reason: "no_speech", channel: null }]);
  assert.deepEqual(spans(found), [["a/1", 4_000, 6_500]]);
  assert.equal(found.shares.reduce((sum, { ms }) => sum + ms, 0), 2_500);
  assert.equal(found.edges.at(-1), 10_500);
  assert.equal(found.lines.length, 4);
});

test("on the clock of a later session it is shifted", () => {
  const found = after(
    append(ready("a")),
    ...appendAll(speechStarted(1), noEmotion(1)),
    append(ready("b"), 0, 60_000),
    ...appendAll(noEmotion(1)),
  );
  const spans = found.marks.filter(({ kind }) => kind === "no_emotion").map(({ fromMs, toMs }) => [fromMs, toMs]);
  assert.deepEqual(spans, [[4_000, 6_500], [64_000, 66_500]]);
});
