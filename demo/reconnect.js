/** Whether and when to connect again: decisions only, no connection. */

const FIRST_DELAY_MS = 500;
const LONGEST_DELAY_MS = 15_000;

// Trying again with the same request cannot help: bad request, no token, foreign origin.
const REFUSED = new Set([4400, 4401, 4403]);

/**
 * Exponential backoff with jitter, so that a room of pages does not return to a restarted server at once.
 *
 * @param {number} attempt  0 for the first try after a break.
 * @param {number} random  In [0, 1).
 * @returns {number} Milliseconds, between half and all of the doubled delay.
 */
export function backoffMs(attempt, random) {
  const full = Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** Math.min(attempt, 10));
  return Math.round(full * (0.5 + 0.5 * random));
}

/**
 * What the end of a socket means.
 *
 * @param {number} code  The close code.
 * @param {string | null} closedReason  `reason` of the `closed` event, null where none came.
 * @returns {"ended" | "refused" | "again"}
 */
export function verdict(code, closedReason) {
  if (REFUSED.has(code)) return "refused";
  return closedReason === null || closedReason === "shutting_down" ? "again" : "ended";
}
