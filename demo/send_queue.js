/**
 * What a client has to send, in order, and how much of it the server's credit allows. Pure: no socket, no clock.
 */

const MAX_MESSAGE_MS = 250; // of audio, so that credit is used evenly
const MAX_GAP_MS = 24 * 3_600_000;
const ACK_EVERY_MS = 1_000;
const MAX_UNACKED_MARKS = 48; // the server closes at 64 messages other than audio that its session has not taken

/**
 * Audio, gaps, flushes and the stop, in order. First what was sent and is not committed, then what is not sent.
 * Positions are sample frames of the session's audio, which gaps do not count in, and are assigned when
 * something is sent: audio that was dropped before that never had one.
 *
 * The server has committed audio once everything that was said in it has its final. Until then it is kept, so
 * that a server that is killed and started again hears the utterance in progress whole.
 */
export class SendQueue {
  #entries = [];
  #next = 0; // the first entry that is not sent
  #acked = 0; // received by the session: what the credit counts from
  #committed = 0;
  #commits = true; // whether the server tells what it has committed
  #sent = 0;
  #sentGapMs = 0;
  #committedGapMs = 0; // of the gaps that were removed from the queue
  #unsent = 0; // sample frames
  #again = 0; // of those, the first ones that were sent before: they fill no queue, and are never dropped
  #gapCarryMs = 0; // gaps are sent in whole milliseconds: the fraction goes into the next one

  /**
   * @param {number} rateHz
   * @param {number} frameBytes  Of one sample frame (all channels).
   * @param {number} queueMs  How much unsent audio fills the queue.
   */
  constructor(rateHz, frameBytes, queueMs) {
    this.frameBytes = frameBytes;
    this.rateHz = rateHz;
    this.maxUnsent = this.#toFrames(queueMs);
  }

  get isFull() {
    return this.#unsent - this.#again >= this.maxUnsent;
  }

  get unsentMs() {
    return this.#toMs(this.#unsent);
  }

  get unacknowledgedMs() {
    return this.#toMs(this.#sent - this.#acked);
  }

  /** Milliseconds of audio that were sent and are kept until the server has committed them. */
  get uncommittedMs() {
    return this.#toMs(this.#sent - this.#committed);
  }

  /** Whether the audio is complete and the session has received all of it. */
  get isDelivered() {
    const last = this.#entries.at(-1);
    return last?.kind === "stop" && last.at !== null && this.#acked >= last.at;
  }

  /** Whether the server owes a message: an ack that gives credit, or `closed` after the stop. */
  get awaitsReply() {
    return this.#next < this.#entries.length || this.#entries.at(-1)?.kind === "stop";
  }

  /**
   * A server's limits in sample frames, for `next()`.
   *
   * @param {number} messageBytes
   * @param {number} maxUnackedMs
   */
  credit(messageBytes, maxUnackedMs) {
    const maxUnacked = Math.max(1, this.#toFrames(maxUnackedMs));
    return {
      maxUnacked,
      message: Math.max(1, Math.min(this.#toFrames(MAX_MESSAGE_MS), Math.floor(messageBytes / this.frameBytes))),
      ackEvery: Math.min(this.#toFrames(ACK_EVERY_MS), Math.floor(maxUnacked / 5)),
    };
  }

  // Adding -----------------------------------------------------------------------------------

  /** @param {Uint8Array} bytes  Whole sample frames. */
  addAudio(bytes) {
    if (bytes.length === 0) return;
    const frames = bytes.length / this.frameBytes;
    this.#entries.push({ kind: "audio", bytes, frames, at: null });
    this.#unsent += frames;
  }

  addGap(ms) {
    const last = this.#entries.at(-1);
    if (this.#next < this.#entries.length && last.kind === "gap") last.ms += ms;
    else this.#entries.push(gapOf(ms));
  }

  /** A second flush has no effect unless there is audio in between. */
  addFlush() {
    for (let i = this.#entries.length - 1; i >= 0 && this.#entries[i].kind !== "audio"; i--) {
      if (this.#entries[i].kind === "flush") return;
    }
    this.#entries.push({ kind: "flush", at: null });
  }

  addStop() {
    this.#entries.push({ kind: "stop", at: null });
  }

  /** Replace the oldest audio that was never sent, beyond the queue's length, by a gap. */
  dropSurplus() {
    const maxUnsent = this.maxUnsent + this.#again;
    if (this.#unsent <= maxUnsent) return;
    const first = this.#firstNeverSent();
    for (let i = first; this.#unsent > maxUnsent; i++) {
      if (this.#entries[i].kind !== "audio") continue;
      if (this.#entries[i].frames > this.#unsent - maxUnsent) this.#split(i, this.#unsent - maxUnsent);
      const { frames } = this.#entries[i];
      this.#entries[i] = gapOf(this.#toMs(frames));
      this.#unsent -= frames;
    }
    this.#mergeMarks(first);
  }

  #firstNeverSent() {
    let i = this.#next;
    for (let frames = this.#again; frames > 0; i++) {
      if (this.#entries[i].kind !== "audio") continue;
      this.#split(i, frames);
      frames -= this.#entries[i].frames;
    }
    return i;
  }

  /** Between two pieces of audio one gap, one flush and one gap are enough: a second flush has no effect. */
  #mergeMarks(first) {
    let end = first;
    while (end < this.#entries.length && this.#entries[end].kind !== "audio") end++;
    const merged = [];
    for (const entry of this.#entries.slice(first, end)) {
      const last = merged.at(-1);
      if (entry.kind === "flush" && merged.some(({ kind }) => kind === "flush")) continue;
      if (entry.kind === "gap" && last?.kind === "gap") last.ms += entry.ms;
      else merged.push(entry);
    }
    this.#entries.splice(first, end - first, ...merged);
  }

  // Sending ----------------------------------------------------------------------------------

  /**
   * The next message, counted as sent; null if there is none, or if the credit is used up.
   *
   * @returns {Uint8Array | string | null}
   */
  next({ maxUnacked, message, ackEvery }) {
    while (this.#next < this.#entries.length) {
      const entry = this.#entries[this.#next];
      const unacked = this.#sent - this.#acked;
      // A gap waits too: whatever has to be dropped meanwhile is merged into it.
      if (unacked >= maxUnacked && (entry.kind === "audio" || entry.kind === "gap")) return null;
      if (entry.kind === "audio") {
        if (entry.frames > message) this.#split(this.#next, message);
        entry.at = this.#sent;
        this.#sent += entry.frames;
        this.#unsent -= entry.frames;
        this.#again = Math.max(0, this.#again - entry.frames);
        this.#next++;
        return entry.bytes;
      }
      // Only where an ack is sure to come, or both ends would wait for each other for ever.
      if (unacked >= ackEvery && this.#unackedMarks() >= MAX_UNACKED_MARKS) return null;
      const mark = entry.kind === "gap" ? this.#sendGap(entry) : this.#sendMark(entry);
      if (mark !== null) return JSON.stringify(mark);
    }
    return null;
  }

  #sendMark(entry) {
    this.#next++;
    entry.at = this.#sent;
    return { type: entry.kind, at_samples: entry.at };
  }

  #sendGap(entry) {
    const ms = Math.min(MAX_GAP_MS, Math.floor(entry.ms + this.#gapCarryMs));
    const rest = entry.ms + this.#gapCarryMs - ms;
    this.#gapCarryMs = rest < 1 ? rest : 0;
    this.#entries.splice(this.#next, 1, ...(rest < 1 ? [] : [gapOf(rest)]));
    if (ms === 0) return null;
    this.#sentGapMs += ms;
    const last = this.#entries[this.#next - 1];
    // Consecutive gaps are kept as one, so that a gap per missing block does not fill the memory.
    if (last?.kind === "gap") {
      last.ms += ms;
      last.upToMs = this.#sentGapMs;
    } else {
      this.#entries.splice(this.#next++, 0, { ...gapOf(ms), at: this.#sent, upToMs: this.#sentGapMs });
    }
    return { type: "gap", ms };
  }

  #unackedMarks() {
    let marks = 0;
    for (let i = this.#next - 1; i >= 0 && this.#entries[i].at >= this.#acked; i--) {
      if (this.#entries[i].kind !== "audio") marks++;
    }
    return marks;
  }

  // What the server has received -------------------------------------------------------------

  /**
   * @param {number} received  Audio up to here counts for the credit no longer.
   * @param {number | null} committed  Audio up to here need not be kept. null from a server that does not tell.
   */
  acknowledge(received, committed) {
    this.#acked = Math.max(this.#acked, Math.min(received, this.#sent));
    this.#commits = committed !== null;
    this.#commit(Math.min(committed ?? received, this.#acked));
  }

  /** The session has ended, and has given all results of what it received. */
  commitReceived() {
    this.#commit(this.#acked);
  }

  /**
   * Remove what lies before this position. A mark is removed with the audio after it: that audio cannot have
   * arrived before the mark, whereas a mark at the very position may still be on its way.
   */
  #commit(position) {
    this.#committed = Math.max(this.#committed, position);
    let removed = 0;
    while (removed < this.#next && this.#entries[removed].at < this.#committed) {
      const entry = this.#entries[removed];
      if (entry.kind === "audio" && entry.at + entry.frames > this.#committed) {
        this.#split(removed, this.#committed - entry.at);
      }
      if (entry.kind === "gap") this.#committedGapMs += entry.ms;
      removed++;
    }
    this.#entries.splice(0, removed);
    this.#next -= removed;
  }

  /** On a new socket of the same session, which has received so many frames and milliseconds of gaps. */
  rewind(receivedFrames, receivedGapMs) {
    let firstUnsent = 0;
    for (let i = 0; i < this.#next; i++) {
      const entry = this.#entries[i];
      if (entry.kind === "audio" && entry.at < receivedFrames) {
        if (entry.at + entry.frames > receivedFrames) this.#split(i, receivedFrames - entry.at);
        firstUnsent = i + 1;
      } else if (entry.kind === "gap" && entry.upToMs - entry.ms < receivedGapMs) {
        if (entry.upToMs > receivedGapMs) this.#splitGap(i, receivedGapMs);
        firstUnsent = i + 1;
      }
    }
    this.#again += framesOf(this.#entries.slice(firstUnsent, this.#next));
    this.#next = firstUnsent;
    this.#sent = receivedFrames;
    this.#sentGapMs = receivedGapMs;
    this.#countUnsent();
  }

  /**
   * In a new session: everything that is queued is to be sent, except for what finals of the old one cover.
   *
   * @param {number} finalsUntilMs  On the old session's clock.
   * @returns {{lostMs: number, offsetMs: number}}  lostMs: audio that was lost with the old session: none, if the
   *   server told what it had committed. offsetMs: where the new one's clock begins on the old one's.
   */
  restart(finalsUntilMs) {
    const queuedFromMs = this.#toMs(this.#committed) + this.#committedGapMs;
    let clockMs = queuedFromMs;
    const neverSent = this.#unsent - this.#again;
    while (this.#entries.length > 0 && clockMs < finalsUntilMs && this.#entries[0].kind !== "stop") {
      const [entry] = this.#entries;
      if (entry.kind === "audio" && clockMs + this.#toMs(entry.frames) > finalsUntilMs) {
        this.#split(0, Math.min(entry.frames, Math.ceil(((finalsUntilMs - clockMs) * this.rateHz) / 1_000)));
      }
      clockMs += entry.kind === "audio" ? this.#toMs(entry.frames) : (entry.ms ?? 0);
      this.#entries.shift();
    }
    this.#next = this.#acked = this.#committed = this.#sent = this.#sentGapMs = this.#committedGapMs = 0;
    this.#countUnsent();
    this.#again = Math.max(0, this.#unsent - neverSent);
    const lostMs = this.#commits ? 0 : Math.max(0, queuedFromMs - finalsUntilMs);
    return { lostMs, offsetMs: clockMs };
  }

  /** Cut audio entry `i` after so many frames: it keeps its head, and its tail follows it. */
  #split(i, frames) {
    const entry = this.#entries[i];
    if (frames >= entry.frames) return;
    const cut = frames * this.frameBytes;
    const at = entry.at === null ? null : entry.at + frames;
    const tail = { kind: "audio", bytes: entry.bytes.subarray(cut), frames: entry.frames - frames, at };
    entry.bytes = entry.bytes.subarray(0, cut);
    entry.frames = frames;
    this.#entries.splice(i + 1, 0, tail);
    if (i < this.#next) this.#next++;
  }

  /** Cut gap `i`, whose head the server has received: all gaps up to the cut last `upToMs`. */
  #splitGap(i, upToMs) {
    const entry = this.#entries[i];
    const tail = { ...entry, ms: entry.upToMs - upToMs };
    Object.assign(entry, { ms: entry.ms - tail.ms, upToMs });
    this.#entries.splice(i + 1, 0, tail);
    this.#next++;
  }

  #countUnsent() {
    this.#unsent = framesOf(this.#entries.slice(this.#next));
  }

  #toMs(frames) {
    return (frames * 1_000) / this.rateHz;
  }

  #toFrames(ms) {
    return Math.floor((ms * this.rateHz) / 1_000);
  }
}

const framesOf = (entries) => entries.reduce((sum, { frames = 0 }) => sum + frames, 0);

/** upToMs: the sum of all gaps that were sent, up to and including this one. */
const gapOf = (ms) => ({ kind: "gap", ms, upToMs: null, at: null });
