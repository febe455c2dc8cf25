/**
 * Runs on the browser's sound thread for `microphone()` in client.js: mixes down to mono and hands over
 * blocks. In a file of its own, because that thread loads its code by address and a strict content policy
 * lets it load nothing else.
 */
class BlockMaker extends AudioWorkletProcessor {
  #block;
  #filled = 0;

  /** @param {{processorOptions: {frames: number}}} options  frames: of a block. */
  constructor({ processorOptions: { frames } }) {
    super();
    this.#block = new Float32Array(frames);
  }

  /** @param {Float32Array[][]} inputs  Of each input its channels; none while nothing is connected. */
  process([channels]) {
    const frames = channels[0]?.length ?? 0;
    for (let i = 0; i < frames; i++) {
      let sum = 0;
      for (const channel of channels) sum += channel[i];
      this.#block[this.#filled++] = sum / channels.length;
      if (this.#filled === this.#block.length) this.#handOver();
    }
    return true;
  }

  #handOver() {
    const block = this.#block;
    this.#block = new Float32Array(block.length);
    this.#filled = 0;
    this.port.postMessage(block, [block.buffer]);
  }
}

registerProcessor("emostream-blocks", BlockMaker);
