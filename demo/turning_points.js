/**
 * Where the emotion of a session turns. A single utterance that differs is no turn: it takes several seconds of
 * the new emotion, heard from the same voice, without a doubt.
 *
 * @typedef {{key: string, startMs: number, channel: number | null, from: string, to: string}} TurningPoint
 *   key: of the utterance with which it begins.
 */

const LEAST_UTTERANCE_MS = 500;
const LEAST_RUN_MS = 3_000;

/**
 * @param {(import("./events.js").Emotion & {key: string})[]} finals  In the order of speech.
 * @returns {TurningPoint[]} Oldest first.
 */
export function turningPoints(finals) {
  const turns = [];
  for (const channel of new Set(finals.map((each) => each.channel ?? null))) {
    turns.push(...turnsOf(finals.filter((each) => (each.channel ?? null) === channel), channel));
  }
  return turns.sort((a, b) => a.startMs - b.startMs);
}

function turnsOf(finals, channel) {
  const turns = [];
  let lasting = null; // the emotion of the last run that lasted
  let run = null;
  for (const { key, label, startMs, endMs, reliable } of finals) {
    if (reliable === false || endMs - startMs < LEAST_UTTERANCE_MS) continue;
    if (run?.label !== label) run = { label, key, startMs, ms: 0 };
    run.ms += endMs - startMs;
    if (run.ms < LEAST_RUN_MS || label === lasting) continue;
    if (lasting !== null) turns.push({ key: run.key, startMs: run.startMs, channel, from: lasting, to: label });
    lasting = label;
  }
  return turns;
}
