/**
 * Where things are on the timeline: one lane, or one for each channel that is heard on its own, and the time axis
 * below them. A lane has, from top to bottom, labels, the band of the waveform, and words.
 *
 * @typedef {{y: number, height: number}} Row
 * @typedef {{channel: number | null, names: Row, band: Row, words: Row & {line: number, lines: number}}} Lane
 */

const MAX_LINES = 2;

/**
 * @param {Row} box
 * @param {number[]} channels  Empty or one: a single lane.
 * @param {number} size  Of text, in pixels.
 * @returns {{lanes: Lane[], whole: Row, axis: Row}} whole: from the first band to the end of the last.
 */
export function layoutTimeline({ y, height }, channels, size) {
  const line = size * 1.5;
  const shown = channels.length > 1 ? channels : [null];
  const laneHeight = (height - line) / shown.length;
  // The band keeps at least the height of two lines of text.
  const lines = Math.max(0, Math.min(shown.length > 1 ? 1 : MAX_LINES, Math.floor(laneHeight / line - 3.2)));
  const lanes = shown.map((channel, i) => {
    const top = y + i * laneHeight;
    const bandY = top + line * 1.2;
    const bandHeight = Math.max(1, laneHeight - line * (1.2 + lines));
    return {
      channel,
      names: { y: top, height: line * 1.2 },
      band: { y: bandY, height: bandHeight },
      words: { y: bandY + bandHeight, height: line * lines, line, lines },
    };
  });
  const first = lanes[0].band.y;
  const last = lanes.at(-1).band;
  return {
    lanes,
    whole: { y: first, height: last.y + last.height - first },
    axis: { y: y + height - line, height: line },
  };
}

/** The channel of the lane at this height of a timeline; null where there is one lane for all. */
export function channelAt(offsetY, height, channels) {
  if (channels.length < 2) return null;
  // The axis at the bottom belongs to the last lane: it is less than a finger high.
  return channels[Math.max(0, Math.min(channels.length - 1, Math.floor((offsetY / height) * channels.length)))];
}
