/**
 * Which results a fresh session repeats. Audio is sent again from the first utterance without a result on; on the
 * other channels of a call it may hold utterances that have theirs. Pure.
 */

const EDGE_MS = 100; // a detector that begins afresh may find the next utterance so much earlier

/** Call `note` with every event, and `beginAgain` at a fresh session. */
export class RepeatedResults {
  #endsMs = new Map(); // channel -> the end of its last utterance with a result
  #coveredMs = new Map(); // the same of the session before, on the present clock
  #repeated = new Set(); // utterances

  /** @param {number} offsetMs  Where the new session's clock begins on that of the session before. */
  beginAgain(offsetMs) {
    const ends = [...this.#coveredMs, ...this.#endsMs];
    this.#coveredMs = new Map(ends.map(([channel, endMs]) => [channel, endMs - offsetMs]));
    this.#endsMs.clear();
    this.#repeated.clear();
  }

  /** @returns {boolean} Whether the session before has given this result. */
  note({ type, channel = null, utterance = null, final, start_ms: startMs, end_ms: endMs }) {
    if (channel !== null) {
      if (type === "speech_started" && startMs < (this.#coveredMs.get(channel) ?? 0) - EDGE_MS) {
        this.#repeated.add(utterance);
      }
      if (type === "no_emotion" || (type === "emotion" && final)) this.#endsMs.set(channel, endMs);
    }
    return this.#repeated.has(utterance);
  }
}
