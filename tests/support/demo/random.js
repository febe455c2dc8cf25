/** Seeded randomness for tests: the same numbers for the same seed. */

/** @returns {() => number} In [0, 1). */
export function seededRandom(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** A whole number of `low` to `high`, without `high`. */
export const randomInt = (random, low, high) => low + Math.floor(random() * (high - low));

export const randomChoice = (random, values) => values[randomInt(random, 0, values.length)];

/** @returns {number[]} The numbers 0 to count - 1 in random order. */
export function permutation(random, count) {
  const numbers = Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const j = randomInt(random, 0, i + 1);
    [numbers[i], numbers[j]] = [numbers[j], numbers[i]];
  }
  return numbers;
}

/** @param {number} count @returns {number[]} 0 to count - 1. */
export const range = (count) => Array.from({ length: count }, (_, i) => i);
