/**
 * Runs on the browser's audio thread for microphone.js: mixes down to mono and posts blocks, each with the frame
 * of the audio clock at which it ends. In a file of its
 * own, because that thread loads its code by address and a strict content policy lets it load nothing else.
 */
class BlockProcessor extends AudioWorkletProcessor {
  #block;
  #filled = 0;

  /** @param {{processorOptions: {frames: number}}} options  frames: per block. */
  constructor({ processorOptions: { frames } }) {
    super();
    this.#block = new Float32Array(frames);
  }

  /** @param {Float32Array[][]} inputs  The channels of each input; none while nothing is connected. */
  process([channels]) {
    const frames = channels[0]?.length ?? 0;
    for (let i = 0; i < frames; i++) {
      let sum = 0;
      for (const channel of channels) sum += channel[i];
      this.#block[this.#filled++] = sum / channels.length;
      if (this.#filled === this.#block.length) this.#postBlock(currentFrame + i + 1);
    }
    return true;
  }

  #postBlock(endFrame) {
    const block = this.#block;
    this.#block = new Float32Array(block.length);
    this.#filled = 0;
    this.port.postMessage({ block, endFrame }, [block.buffer]);
  }
}

registerProcessor("emostream-blocks", BlockProcessor);
