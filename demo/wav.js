/** The server's WAV files. */

/**
 * @param {ArrayBuffer} file  16-bit mono PCM, as the server writes it.
 * @returns {{rateHz: number, samples: Float32Array} | null}
 */
export function parseWav(file) {
  const view = new DataView(file);
  const hasTag = (at, tag) => [...tag].every((letter, i) => view.getUint8(at + i) === letter.charCodeAt(0));
  if (view.byteLength < 44 || !hasTag(0, "RIFF") || !hasTag(8, "WAVE")) return null;
  let rateHz = 0;
  for (let at = 12; at + 8 <= view.byteLength; ) {
    const length = view.getUint32(at + 4, true);
    if (hasTag(at, "fmt ") && at + 16 <= view.byteLength) rateHz = view.getUint32(at + 12, true);
    if (hasTag(at, "data") && rateHz > 0) {
      const samples = new Float32Array(Math.min(length, view.byteLength - at - 8) >> 1);
      for (let i = 0; i < samples.length; i++) samples[i] = view.getInt16(at + 8 + 2 * i, true) / 32_768;
      return { rateHz, samples };
    }
    at += 8 + length + (length & 1);
  }
  return null;
}
