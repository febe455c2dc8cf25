/**
 * Types of client.js, and of every message of the wire protocol, version 1 (docs/protocol.md).
 * Messages have the names of the wire; what the client itself says has names in camel case.
 */

// What a client says --------------------------------------------------------------------------

export type Encoding = "pcm_s16le" | "pcm_f32le";

/** secret: that of `ready`; a watcher has none. */
export interface Resume {
  session: string;
  last_seq: number;
  secret?: string;
}

/** Per session; what is left out is the server's own setting. */
export interface Options {
  provisional?: boolean | null;
  words?: boolean | null;
  /** 200 to 5000. */
  min_silence_ms?: number | null;
  /** At most 28000. */
  max_utterance_ms?: number | null;
}

export interface Start {
  type: "start";
  encoding: Encoding;
  sample_rate: number;
  channels: number;
  language?: string | null;
  token?: string | null;
  resume?: Resume | null;
  options?: Options;
}

export interface Watch {
  type: "watch";
  stream: string;
  token?: string | null;
  resume?: Resume | null;
}

export interface Gap {
  type: "gap";
  ms: number;
}

export interface Flush {
  type: "flush";
  at_samples: number;
}

export interface Stop {
  type: "stop";
  at_samples: number;
}

export type ClientMessage = Start | Watch | Gap | Flush | Stop;

// What a server says --------------------------------------------------------------------------

export interface Models {
  vad: string;
  /** null: sound alone. */
  asr: string | null;
  emotion: string;
  device: string;
}

/** null: without limit. */
export interface Limits {
  message_bytes: number;
  ahead_ms: number;
  session_ms: number | null;
  idle_ms: number | null;
}

export interface Ready {
  type: "ready";
  protocol: number;
  session: string;
  secret: string | null;
  resumed: boolean;
  lost_from_seq: number | null;
  received_samples: number;
  received_gap_ms: number;
  /** How far the stream is that a watcher joins. */
  clock_ms: number;
  labels: string[];
  models: Models;
  limits: Limits;
}

export interface Ack {
  type: "ack";
  received_samples: number;
}

export interface SpeechStarted {
  type: "speech_started";
  seq: number;
  utterance: number;
  start_ms: number;
}

export interface Word {
  text: string;
  start_ms: number;
  end_ms: number;
  p: number | null;
}

/** Milliseconds of the wall clock. */
export interface Timing {
  endpoint_ms: number;
  lead_ms: number;
  queue_ms: number;
  asr_ms: number;
  align_ms: number;
  emotion_ms: number;
  total_ms: number;
}

export type Probabilities = Record<string, number>;

export type Uncertainty = "too_short" | "low_snr" | "no_text" | "modalities_disagree" | "low_confidence";

export interface Emotion {
  type: "emotion";
  seq: number;
  utterance: number;
  final: boolean;
  start_ms: number;
  end_ms: number;
  reason: "silence" | "max_length" | "end_of_stream" | "flush" | "speaking";
  label: string;
  confidence: number;
  uncertain: Uncertainty[];
  probabilities: Probabilities;
  audio_only: Probabilities;
  text_only: Probabilities | null;
  text: string;
  language: string | null;
  words: Word[];
  timing: Timing;
}

export interface Dropped {
  type: "dropped";
  seq: number;
  ms: number;
  why: string;
  /** Where on the clock. */
  at_ms: number;
}

export type ErrorCode =
  | "overloaded"
  | "too_many_attempts"
  | "bad_start"
  | "unknown_stream"
  | "unauthorized"
  | "foreign_origin"
  | "idle_too_long"
  | "taken_over"
  | "session_too_long"
  | "watcher_too_slow"
  | "too_far_ahead"
  | "internal"
  | "bad_message"
  | "invalid_samples"
  | "transcription_failed"
  | "analysis_failed";

/** The wire calls it `error`. seq is 0 where it belongs to no session. */
export interface ServerError {
  type: "error";
  seq: number;
  code: ErrorCode;
  message: string;
  fatal: boolean;
  utterance: number | null;
  retry_after_ms: number | null;
}

export interface Totals {
  audio_ms: number;
  utterances: number;
  dropped_ms: number;
}

export interface Closed {
  type: "closed";
  seq: number;
  reason: "end_of_stream" | "shutting_down" | "error";
  totals: Totals;
}

/** What carries `seq`. */
export type ServerEvent = SpeechStarted | Emotion | Dropped | ServerError | Closed;
export type ServerMessage = Ready | Ack | ServerEvent;

// The client ----------------------------------------------------------------------------------

/** attempt: 0 for the first, and again once a connection has lasted. */
export interface Connecting {
  phase: "connecting";
  attempt: number;
}

/**
 * startMs: where the session's clock begins on the client's own, which counts all sound and all gaps that
 * were given to it. It is 0 until a session was lost; add it to the times of the events that follow.
 */
export interface Live {
  phase: "live";
  ready: Ready;
  startMs: number;
}

/**
 * Events of `session` are gone, from `lostFromSeq` on. Where the session itself is gone, `live` with another
 * one follows, and lostAudioMs is how much sound it took with it at most: acknowledged, and covered by
 * no final that arrived. What the client still holds goes to the new session.
 */
export interface Lost {
  phase: "lost";
  session: string;
  lostFromSeq: number;
  lostAudioMs: number;
}

/** error: what the server said, where it said anything. why: for people, may be empty. */
export interface Reconnecting {
  phase: "reconnecting";
  delayMs: number;
  code: number;
  error: ServerError | null;
  why: string;
}

/** Coming again with the same request cannot help. unheardMs: of sound that nobody has acknowledged. */
export interface Refused {
  phase: "refused";
  code: number;
  error: ServerError | null;
  why: string;
  unheardMs: number;
}

/** `closed` has come. error: the fatal one before it, for instance `idle_too_long`. */
export interface Ended {
  phase: "ended";
  reason: Closed["reason"];
  totals: Totals;
  code: number;
  error: ServerError | null;
  unheardMs: number;
}

/** The caller's own `close()`. */
export interface ClosedHere {
  phase: "closed";
  unheardMs: number;
}

export type FinalState = Ended | Refused | ClosedHere;
export type ClientState = Connecting | Live | Lost | Reconnecting | FinalState;

/** What the client needs of the world, for tests. */
export interface Platform {
  WebSocket: new (url: string, protocol: string) => WebSocket;
  setTimeout(run: () => void, ms: number): unknown;
  clearTimeout(timer: any): void;
  /** In [0, 1). */
  random(): number;
  /** Milliseconds on a clock that never goes back. */
  now(): number;
}

export interface ClientOptions {
  /** `ws://host:port/v1/stream`; `http://host:port` will do. */
  url: string;
  /** Of what is sent, 8000 to 96000. */
  sampleRate: number;
  /** On the wire; samples are converted. Default: pcm_s16le. */
  encoding?: Encoding;
  /** 1 to 8, interleaved. Default: 1. */
  channels?: number;
  language?: string;
  token?: string;
  options?: Options;
  /** How much sound may wait to be sent. Default: 15000. */
  queueMs?: number;
  /**
   * What happens to sound beyond that. "drop" (default), for a microphone: the oldest gives way to a gap.
   * "wait", for a recording: nothing is dropped, and the promise of each send() must be awaited.
   */
  whenFull?: "drop" | "wait";
  /** Each event of the session once, in the order of `seq`. */
  onEvent?: (event: ServerEvent) => void;
  onState?: (state: ClientState) => void;
  platform?: Platform;
}

export class EmostreamClient {
  constructor(settings: ClientOptions);
  /** The last state. Never rejects. */
  readonly finished: Promise<FinalState>;
  readonly unsentMs: number;
  readonly unacknowledgedMs: number;
  /** Bytes in the announced encoding, or samples. Resolves once the queue has room. Copies. */
  send(data: ArrayBuffer | Uint8Array | DataView | Int16Array | Float32Array): Promise<void>;
  /** Sound that the caller had to drop, here. */
  gap(ms: number): void;
  /** End the utterance in progress here. */
  flush(): void;
  /** No more sound; the finals still come. */
  stop(): void;
  /** End at once; no event is told any more. */
  close(): void;
  /** Do not wait for the next try. */
  retryNow(): void;
}

export const SUBPROTOCOL: "emostream.v1";

export function fullJitterMs(attempt: number, random: number): number;

/** Mono blocks of Float32 samples, to be read once. Leaving the loop closes the microphone. */
export interface Microphone extends AsyncIterable<Float32Array> {
  readonly sampleRate: number;
  readonly label: string;
  stop(): void;
}

export class MicrophoneError extends Error {
  constructor(code: MicrophoneError["code"], message: string, cause?: unknown);
  /** unread: nobody read the blocks for ten seconds. */
  readonly code: "refused" | "missing" | "gone" | "busy" | "insecure" | "unread" | "failed";
}

/** Throws MicrophoneError. Needs worklet.js beside client.js. */
export function microphone(settings?: {
  deviceId?: string;
  signal?: AbortSignal;
  constraints?: MediaTrackConstraints;
}): Promise<Microphone>;

/** pace: 1 as it was spoken (default), Infinity as fast as it is read. sampleRate: default 16000. */
export function fileBlocks(
  file: Blob,
  settings?: {
    pace?: number;
    sampleRate?: number;
    blockMs?: number;
    signal?: AbortSignal;
    /** Told before the first block. */
    onLength?: (ms: number) => void;
    platform?: Pick<Platform, "now" | "setTimeout">;
  },
): AsyncGenerator<Float32Array, void, void>;
