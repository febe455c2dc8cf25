/** What of a session is drawn, and how words are wrapped. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { visibleUtterances, wrapText } from "../../../demo/canvas.js";
import { randomChoice, randomInt, range, seededRandom } from "../../support/demo/random.js";

for (const seed of range(5)) {
  test(`the utterances of a span are visible (seed ${seed})`, () => {
    // Against a check of each utterance; an open one reaches to the live edge. Few milliseconds: ends often touch.
    const random = seededRandom(seed);
    const count = [0, 1, 2, 40, randomChoice(random, [1, 2, 40])][seed];
    let at = 0;
    const finals = range(count).map((number) => {
      const startMs = at + randomInt(random, 0, 4);
      at = startMs + randomInt(random, 1, 5);
      return { key: `f${number}`, startMs, endMs: at };
    });
    const open = range(seed % 3).map((number) => {
      const startMs = at + number;
      const emotion = number ? { startMs, endMs: startMs + 8, label: "sad" } : null;
      return { key: `o${number}`, startMs, emotion };
    });
    const edgeMs = at + 5;
    const openEnd = ({ startMs, emotion }, i) =>
      open[i + 1]?.startMs ?? (emotion ? Math.max(edgeMs, startMs + 8) : edgeMs);
    const all = [
      ...finals.map(({ key, startMs, endMs }) => [key, startMs, endMs]),
      ...open.map((utterance, i) => [utterance.key, utterance.startMs, openEnd(utterance, i)]),
    ];
    for (let fromMs = -5; fromMs < at + 20; fromMs++) {
      for (const length of [0, 1, 2, 7, 30]) {
        const toMs = fromMs + length;
        assert.deepEqual(
          visibleUtterances({ finals, open, channels: [] }, fromMs, toMs, edgeMs).map(({ key, startMs, endMs }) => [key, startMs, endMs]),
          all.filter(([, startMs, endMs]) => startMs <= toMs && endMs >= fromMs),
        );
      }
    }
  });
}

test("an utterance in progress is visible without a result", () => {
  const log = { finals: [], open: [{ key: "a/1", startMs: 4_000, channel: null, emotion: null }], channels: [] };
  assert.deepEqual(visibleUtterances(log, 0, 9_000, 7_500), [
    { key: "a/1", startMs: 4_000, endMs: 7_500, channel: null, label: "", confidence: 0, text: "", final: false },
  ]);
});

// A pen whose letters all have width 1.
const wrap = (text, width, maxLines) => wrapText({ measureText: (line) => ({ width: line.length }) }, text, width, maxLines);

/** Word by word, as long as the line fits. */
function greedyLines(words, width) {
  const lines = [];
  for (const word of words) {
    const longer = `${lines.at(-1)} ${word}`;
    if (lines.length > 0 && longer.length <= width) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines;
}

for (const seed of range(4)) {
  test(`words are wrapped, and what does not fit is replaced by an ellipsis (seed ${seed})`, () => {
    const random = seededRandom(seed);
    const words = range(randomInt(random, 1, 30)).map(() => "m".repeat(randomInt(random, 1, 9)));
    const width = randomInt(random, 10, 40);
    const lines = greedyLines(words, width);
    assert.deepEqual(wrap(words.join("  "), width, lines.length), lines);
    const longText = Array(5).fill([...words, "and", "more"].join(" ")).join(" ");
    const two = wrap(longText, width, 2);
    assert.equal(two.length, 2);
    assert.ok(two[1].endsWith("…"));
    assert.ok(Math.max(...two.map((line) => line.length)) <= width);
  });
}

test("a word that is too long for a line is cut", () => {
  assert.deepEqual(wrap("incomprehensible words", 8, 2), ["incompr…", "words"]);
  assert.deepEqual(wrap("", 8, 2), []);
});

test("utterances of two speakers overlap, and come in the order in which they end", () => {
  const finals = [
    { key: "short", channel: 2, startMs: 26_000, endMs: 27_000 },
    { key: "long", channel: 1, startMs: 1_000, endMs: 28_000 },
    { key: "later", channel: 2, startMs: 40_000, endMs: 41_000 },
  ];
  const open = [
    { key: "a", startMs: 50_000, channel: 1, emotion: null },
    { key: "b", startMs: 51_000, channel: 2, emotion: null },
  ];
  const keys = (fromMs, toMs) =>
    visibleUtterances({ finals, open, channels: [1, 2] }, fromMs, toMs, 60_000).map(({ key }) => key);
  assert.deepEqual(keys(2_000, 3_000), ["long"]);
  assert.deepEqual(keys(26_500, 26_600), ["short", "long"]);
  assert.deepEqual(keys(27_500, 30_000), ["long"]);
  assert.deepEqual(keys(30_000, 39_000), []);
  assert.deepEqual(keys(55_000, 56_000), ["a", "b"]); // neither ends where the other begins
});
