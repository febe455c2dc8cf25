/**
 * A world for `EmostreamClient` in which nothing happens by itself: a server as docs/protocol.md describes it, a
 * network that is cut where the test wants it, and a clock that advances when nothing else can happen.
 */
import { EmostreamClient } from "../../../demo/client.js";
import { seededRandom } from "./random.js";

export const RATE = 8000; // sample frames a second, 8 a millisecond
const MAX_UNACKED_MS = 1000;

/** What a server keeps of a session. received: arrays of samples, "gap 20", "flush", "stop", in order. */
class Session {
  frames = 0;
  finals = 0;
  acked = 0;
  committed = null; // null: a server that does not tell it
  gapMs = 0;
  received = [];
  events = [];
  flushedAt = new Set();
  ended = false;

  constructor(name) {
    this.name = name;
    this.resumeToken = `token of ${name}`;
  }

  addEvent(fields) {
    this.events.push({ ...fields, seq: this.events.length + 1 });
  }

  get clockMs() {
    return this.frames / 8 + this.gapMs;
  }
}

export class Simulation {
  now = 0;
  timers = [];
  sockets = [];
  sessions = [];
  states = []; // of the client
  events = []; // that the client delivered
  faults = []; // what the client did wrong

  autoAck = true; // false: the session takes nothing until `acknowledgeAll()`
  finalEveryMs = 50; // of audio; 0: never
  messageBytes = 400;
  offline = false;
  refusal = null; // {code, error}
  cuts = []; // for each socket: after how many messages it breaks
  lateDelivery = false; // what was on its way when the client noticed the break may still arrive

  constructor(settings = {}) {
    Object.assign(this, settings);
    this.random = seededRandom(this.seed ?? 1);
  }

  get session() {
    return this.sessions.at(-1);
  }

  get socket() {
    return this.sockets.at(-1);
  }

  get isLive() {
    return this.states.at(-1).phase === "live";
  }

  get phases() {
    return this.states.map(({ phase }) => phase);
  }

  platform() {
    const simulation = this;
    return {
      WebSocket: class {
        constructor(url, protocol) {
          Object.assign(this, { url, protocol, up: [], down: [], messages: 0, open: false, marks: [] });
          simulation.sockets.push(this);
          this.down.push(simulation.offline ? { close: 1006 } : { open: true });
        }
        send(data) {
          if (this.open) this.up.push(data);
        }
        close() {
          this.open = false;
          this.gone = true;
        }
      },
      setTimeout: (run, ms) => {
        const timer = { at: this.now + ms, run };
        this.timers.push(timer);
        return timer;
      },
      clearTimeout: (timer) => {
        this.timers = this.timers.filter((other) => other !== timer);
      },
      random: () => 1,
      now: () => this.now,
    };
  }

  client(settings = {}) {
    return new EmostreamClient({
      url: "ws://server/v1/stream",
      sampleRate: RATE,
      platform: this.platform(),
      onEvent: (event) => this.events.push(event),
      onState: (state) => {
        this.states.push(state);
        this.onState?.(state);
      },
      ...settings,
    });
  }

  // The network ------------------------------------------------------------------------------

  /** What can happen next: a message arrives at either end. */
  deliveries() {
    const canArriveUp = (socket) => socket.up.length > 0 && (!socket.gone || this.lateDelivery);
    const canArriveDown = (socket) => socket.down.length > 0 && !socket.gone;
    return [
      ...this.sockets.filter(canArriveUp).map((socket) => () => this.arriveAtServer(socket)),
      ...this.sockets.filter(canArriveDown).map((socket) => () => this.arriveAtClient(socket)),
    ];
  }

  /** Until nothing is on its way; then the next timers, as long as `keepsWaiting` returns true. */
  run(keepsWaiting = () => false) {
    for (let steps = 0; steps < 100_000; steps++) {
      const deliveries = this.deliveries();
      if (deliveries.length > 0) deliveries[Math.floor(this.random() * deliveries.length)]();
      else if (keepsWaiting() && this.timers.length > 0) this.tick();
      else return;
    }
    this.faults.push("it never ends");
  }

  runUntilLive() {
    this.run(() => !this.isLive);
  }

  tick() {
    this.timers.sort((one, other) => one.at - other.at);
    const timer = this.timers.shift();
    this.now = Math.max(this.now, timer.at);
    timer.run();
  }

  countMessage(socket) {
    socket.messages++;
    if (socket.messages === this.cuts[this.sockets.indexOf(socket)]) this.cut(socket);
  }

  cut(socket = this.socket, code = 1006) {
    if (socket.gone) return;
    socket.gone = true;
    if (!this.lateDelivery) socket.session = null;
    socket.onclose?.({ code });
  }

  arriveAtClient(socket) {
    const { open, close, text } = socket.down.shift();
    if (open) {
      socket.open = true;
      socket.onopen?.();
    } else if (close) {
      this.cut(socket, close);
    } else {
      socket.onmessage?.({ data: text });
    }
    if (text) this.countMessage(socket);
  }

  arriveAtServer(socket) {
    const data = socket.up.shift();
    if (typeof data === "string") this.onText(socket, JSON.parse(data));
    else if (socket.session) this.onAudio(socket, data);
    if (!socket.gone) this.countMessage(socket);
  }

  // The server -------------------------------------------------------------------------------

  send(socket, message) {
    socket.down.push({ text: JSON.stringify(message) });
  }

  close(socket, code) {
    socket.down.push({ close: code });
  }

  onText(socket, message) {
    if (message.type === "start") return this.onStart(socket, message);
    socket.marks.push(message.ms ? `gap ${message.ms}` : message.type);
    const session = socket.session;
    if (!session || session.ended) return;
    if (message.type === "gap") this.onGap(session, message);
    else if (message.type === "flush") this.onFlush(session, message);
    else if (message.type === "stop") this.onStop(session, message);
    this.deliver(socket);
  }

  onGap(session, { ms }) {
    session.gapMs += ms;
    const last = String(session.received.at(-1));
    const before = last.startsWith("gap ") ? Number(session.received.pop().slice(4)) : 0;
    session.received.push(`gap ${before + ms}`);
    session.addEvent({ type: "dropped", ms, reason: "the client dropped it" });
  }

  onFlush(session, { at_samples: at }) {
    const repeated = session.flushedAt.has(at);
    if (at !== session.frames && !repeated) this.faults.push(`flush at ${at} instead of ${session.frames}`);
    if (!repeated) session.received.push("flush");
    session.flushedAt.add(at);
  }

  onStop(session, { at_samples: at }) {
    if (at !== session.frames) this.faults.push(`stop at ${at}`);
    session.received.push("stop");
    this.end(session, "end_of_stream");
  }

  onAudio(socket, data) {
    const session = socket.session;
    if (session.ended) return;
    if (data.length > this.messageBytes) this.faults.push(`a message of ${data.length} bytes`);
    if (session.frames - session.acked > MAX_UNACKED_MS * 8) this.faults.push("more audio than the credit allows");
    const samples = new Int16Array(data.slice().buffer);
    const end = session.frames + samples.length;
    session.received.push(samples);
    const step = this.finalEveryMs * 8;
    for (let at = (Math.floor(session.frames / step) + 1) * step; step > 0 && at <= end; at += step) {
      session.frames = at;
      this.addFinal(session);
    }
    session.frames = end;
    if (this.autoAck && session.frames - session.acked >= (MAX_UNACKED_MS * 8) / 5) session.acked = session.frames;
    this.deliver(socket);
  }

  addFinal(session) {
    const utterance = ++session.finals;
    session.addEvent({ type: "emotion", utterance, final: true, end_ms: session.clockMs, label: "sad" });
  }

  /** The session takes everything it has received. */
  acknowledgeAll() {
    this.session.acked = this.session.frames;
    for (const socket of this.sockets) if (socket.session === this.session) this.deliver(socket);
  }

  /** As if the server had lost its sessions: no resume finds one. */
  forgetSessions() {
    for (const session of this.sessions) session.resumeToken = "another";
  }

  end(session, reason) {
    session.ended = true;
    session.acked = session.frames;
    session.addEvent({ type: "closed", reason, totals: { audio_ms: session.clockMs } });
  }

  onStart(socket, { resume, ...fields }) {
    socket.start = resume ? { ...fields, resume } : fields;
    if (this.refusal) {
      const { code, error } = this.refusal;
      if (error) this.send(socket, { type: "error", seq: 0, fatal: true, message: "no", ...error });
      return this.close(socket, code);
    }
    const isRequested = ({ name, resumeToken }) => name === resume?.session && resumeToken === resume?.resume_token;
    const found = this.sessions.find(isRequested);
    const session = found ?? new Session(`s${this.sessions.length + 1}`);
    if (!found) this.sessions.push(session);
    for (const other of this.sockets) if (other.session === session) other.session = null; // superseded
    Object.assign(socket, { session, seq: found ? resume.last_seq : 0, acked: 0 });
    this.send(socket, {
      type: "ready",
      session: session.name,
      resume_token: session.resumeToken,
      resumed: Boolean(found),
      lost_from_seq: found || !resume ? null : resume.last_seq + 1,
      received_samples: session.frames,
      received_gap_ms: session.gapMs,
      limits: { message_bytes: this.messageBytes, max_unacked_ms: MAX_UNACKED_MS },
    });
    this.deliver(socket);
  }

  deliver(socket) {
    const session = socket.session;
    if (!session) return;
    if (socket.acked !== session.acked) {
      socket.acked = session.acked;
      const committed = session.committed === null ? {} : { committed_samples: session.committed };
      this.send(socket, { type: "ack", received_samples: session.acked, ...committed });
    }
    for (const event of session.events) {
      if (event.seq <= socket.seq) continue;
      socket.seq = event.seq;
      this.send(socket, event);
      if (event.type === "closed") this.close(socket, event.reason === "shutting_down" ? 1001 : 1000);
    }
  }
}

/** Samples `first` to `last`, each with its own number. */
export function count(first, last) {
  const samples = new Int16Array(last - first + 1);
  for (let i = 0; i < samples.length; i++) samples[i] = first + i;
  return samples;
}

/** What a session has received, with runs of consecutive samples as [first, last]. */
export function runs(received) {
  const found = [];
  for (const entry of received) {
    if (typeof entry === "string") {
      found.push(entry);
      continue;
    }
    let run = Array.isArray(found.at(-1)) ? found.at(-1) : null;
    for (const sample of entry) {
      if (run !== null && run[1] + 1 === sample) run[1] = sample;
      else found.push((run = [sample, sample]));
    }
  }
  return found;
}

/** The message of the error that `run` throws; undefined if it throws none. */
export function messageOf(run) {
  try {
    run();
  } catch (error) {
    return error.message;
  }
}
