/**
 * Types of client.js, with what it re-exports of microphone.js and file_audio.js, and of every message of the
 * wire protocol, version 1 (docs/protocol.md). Messages have the wire's snake case; the client's own states and
 * options are in camel case.
 */

// Client to server ----------------------------------------------------------------------------

export type Encoding = "pcm_s16le" | "pcm_f32le" | "mulaw" | "alaw";

/** resume_token: that of `ready`; a subscriber has none. */
export interface Resume {
  session: string;
  last_seq: number;
  resume_token?: string;
}

/** Per session; a missing option means the server's setting. */
export interface Options {
  interim_results?: boolean | null;
  words?: boolean | null;
  /** 200 to 5000. */
  min_silence_ms?: number | null;
  /** At most 28000. */
  max_utterance_ms?: number | null;
  /** Whether utterances are judged against the speaker's earlier ones; null: as the server's settings say. */
  adapt?: "off" | "stream" | null;
  /** Whether `closed` carries what the session has learned of the speaker's voice. */
  return_speaker?: boolean | null;
  /** `mix`: all channels, mixed down; `split`: each on its own, with a speaker of its own; or one, from 1. */
  channels?: "mix" | "split" | number | null;
}

/** A speaker who was enrolled: means of hidden states, no sound; `total` and `probe` are base64. */
export interface EnrolledVoice {
  total: string;
  weight: number;
  utterances: number;
  probe: string;
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
  speaker?: EnrolledVoice | null;
}

export interface Subscribe {
  type: "subscribe";
  stream: string;
  token?: string | null;
  resume?: Resume | null;
  /** `waveform` messages are wanted, from here on; left out or null: none. */
  waveform_from_ms?: number | null;
}

export interface Gap {
  type: "gap";
  ms: number;
  reason?: string | null;
}

/** at_samples: null or left out: after the audio so far. */
export interface Flush {
  type: "flush";
  at_samples?: number | null;
}

/** at_samples: null or left out: after the audio so far. */
export interface Stop {
  type: "stop";
  at_samples?: number | null;
}

export type ClientMessage = Start | Subscribe | Gap | Flush | Stop;

// Server to client ----------------------------------------------------------------------------

export interface Models {
  vad: string;
  /** null: audio only. */
  asr: string | null;
  emotion: string;
  device: string;
  /** Where the transcriber's weights were found; null where they come with its program. */
  asr_source: string | null;
}

/** null: no limit. */
export interface Limits {
  message_bytes: number;
  /** The credit: audio that may be sent beyond the last ack. */
  max_unacked_ms: number;
  session_ms: number | null;
  idle_ms: number | null;
}

export interface Ready {
  type: "ready";
  protocol: number;
  session: string;
  resume_token: string | null;
  resumed: boolean;
  lost_from_seq: number | null;
  received_samples: number;
  received_gap_ms: number;
  /** The position of the stream that a subscriber joins. */
  clock_ms: number;
  labels: string[];
  models: Models;
  limits: Limits;
}

/** How loud a subscribed stream is, for drawing. */
export interface Waveform {
  type: "waveform";
  from_ms: number;
  step_ms: number;
  /** Base64 of a byte for each step: 255 times the square root of the loudest sample. */
  peaks: string;
}

export interface Ack {
  type: "ack";
  /** Audio up to here no longer counts for the credit. */
  received_samples: number;
  /** Audio up to here has all its results: it need not be kept. null: the server does not tell. */
  committed_samples: number | null;
  /** Where the first flush or the stop waits for audio that has not come; null where none does. */
  waiting_samples: number | null;
}

export interface SpeechStarted {
  type: "speech_started";
  seq: number;
  utterance: number;
  /** From 1, where it is heard on its own; null where all are mixed. */
  channel: number | null;
  start_ms: number;
}

export interface Word {
  text: string;
  start_ms: number;
  end_ms: number;
  confidence: number | null;
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

export type Uncertainty =
  | "too_short"
  | "low_snr"
  | "no_text"
  | "unsupported_language"
  | "modalities_disagree"
  | "low_confidence"
  | "unlike_training"
  | "unknown_voice"
  | "doubtful_speech";

export interface Emotion {
  type: "emotion";
  seq: number;
  utterance: number;
  channel: number | null;
  final: boolean;
  start_ms: number;
  end_ms: number;
  reason: "silence" | "max_length" | "end_of_stream" | "flush" | "speaking";
  label: string;
  confidence: number;
  /** Whether to believe the label. */
  reliable: boolean;
  uncertain: Uncertainty[];
  /** Earlier utterances of the speaker that it was judged against; null without a baseline. */
  baseline_utterances: number | null;
  probabilities: Probabilities;
  audio_only: Probabilities;
  text_only: Probabilities | null;
  text: string;
  language: string | null;
  words: Word[];
  timing: Timing;
  /** Of an interim result with words: so many code points at the beginning of `text` will not change any more
   * in interim results; the final may differ. */
  stable_chars: number | null;
}

/** The final event of an utterance that gets no emotion. */
export interface NoEmotion {
  type: "no_emotion";
  seq: number;
  utterance: number;
  channel: number | null;
  start_ms: number;
  end_ms: number;
  reason: "no_speech" | "misread_samples";
  /** The probability of speech in the stretch that sounds most like it. */
  speech: number;
}

export interface Dropped {
  type: "dropped";
  seq: number;
  ms: number;
  reason: string;
  /** Position on the session's clock. */
  at_ms: number;
}

export type ErrorCode =
  | "overloaded"
  | "too_many_attempts"
  | "bad_start"
  | "unknown_stream"
  | "unauthorized"
  | "origin_not_allowed"
  | "idle_too_long"
  | "session_superseded"
  | "session_too_long"
  | "slow_consumer"
  | "flow_control_exceeded"
  | "not_pcm"
  | "internal"
  | "bad_message"
  | "unusual_recording"
  | "silent_track"
  | "channels_cancel"
  | "invalid_samples"
  | "no_audio"
  | "transcription_failed"
  | "analysis_failed";

/** `error` on the wire. seq is 0 if it belongs to no session. */
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
  /** The voice, where `options.return_speaker` asked for it and something was learned. */
  speaker: EnrolledVoice | null;
}

/** Messages that carry `seq`. */
export type ServerEvent = SpeechStarted | Emotion | NoEmotion | Dropped | ServerError | Closed;
export type ServerMessage = Ready | Ack | Waveform | ServerEvent;

// The client ----------------------------------------------------------------------------------

/** attempt: retries since the last stable connection; 0 at first. */
export interface Connecting {
  phase: "connecting";
  attempt: number;
}

/**
 * offsetMs: where the session's clock begins on the client's own, which counts all audio and all gaps that were
 * given to it. It is 0 until a session was lost; add it to the times of the events that follow.
 */
export interface Live {
  phase: "live";
  ready: Ready;
  offsetMs: number;
}

/**
 * Events of `session` are lost, from `lostFromSeq` on. If the session itself is lost, `live` with another one
 * follows: it hears again, from its beginning, the utterance that had no final, and lostAudioMs is 0. From a
 * server that does not tell what it has committed, lostAudioMs is an upper bound of the audio that is lost:
 * acknowledged, and not covered by any final that arrived.
 */
export interface Lost {
  phase: "lost";
  session: string;
  lostFromSeq: number;
  lostAudioMs: number;
}

/** error: the server's, if it sent one. message: human-readable, may be empty. */
export interface Reconnecting {
  phase: "reconnecting";
  delayMs: number;
  code: number;
  error: ServerError | null;
  message: string;
}

/** The same request would be refused again. undeliveredMs: of audio without results. */
export interface Refused {
  phase: "refused";
  code: number;
  error: ServerError | null;
  message: string;
  undeliveredMs: number;
}

/** `closed` has arrived. error: the fatal one before it, for instance `idle_too_long`. */
export interface Ended {
  phase: "ended";
  reason: Closed["reason"];
  totals: Totals;
  code: number;
  error: ServerError | null;
  undeliveredMs: number;
}

/** After the caller's own `close()`. */
export interface ClosedByCaller {
  phase: "closed";
  undeliveredMs: number;
}

export type FinalState = Ended | Refused | ClosedByCaller;
export type ClientState = Connecting | Live | Lost | Reconnecting | FinalState;

/** Network, time and randomness, to be replaced in tests. */
export interface Platform {
  WebSocket: new (url: string, protocol: string) => WebSocket;
  setTimeout(run: () => void, ms: number): unknown;
  clearTimeout(timer: any): void;
  /** In [0, 1). */
  random(): number;
  /** Milliseconds on a monotonic clock. */
  now(): number;
}

export interface ClientOptions {
  /** `ws://host:port/v1/stream` or `http://host:port`. */
  url: string;
  /** Of the audio that is sent, 1000 to 768000. */
  sampleRate: number;
  /** On the wire; samples are converted to the first two. Default: pcm_s16le. */
  encoding?: Encoding;
  /** 1 to 8, interleaved. Default: 1. */
  channels?: number;
  language?: string;
  token?: string;
  options?: Options;
  /** Who speaks, as `emostream live --enroll` has saved it. */
  speaker?: EnrolledVoice;
  /** How much audio may wait to be sent. Default: 15000. */
  queueMs?: number;
  /**
   * What happens to audio beyond that. "drop" (default), for a microphone: the oldest is replaced by a gap.
   * "wait", for a recording: nothing is dropped, and the promise of each send() must be awaited.
   */
  whenFull?: "drop" | "wait";
  /** Called with each event of the session once, in the order of `seq`. */
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
  send(data: ArrayBuffer | Uint8Array | DataView | Int16Array | Float32Array | AudioGap): Promise<void>;
  /** Report audio that the caller had to drop at this point. */
  gap(ms: number): void;
  /** End the utterance in progress here. */
  flush(): void;
  /** End of the audio; the finals still arrive. */
  stop(): void;
  /** Close at once; no more events are delivered. */
  close(): void;
  /** Skip the wait before the next retry. */
  retryNow(): void;
}

export const SUBPROTOCOL: "emostream.v1";

/** The socket's address, from `ws://host:port/v1/stream` or `http://host:port`. */
export function websocketUrl(server: string | URL): string;

/** Audio that is missing at this point of a source: the system had taken the microphone away. */
export class AudioGap {
  constructor(ms: number);
  ms: number;
}

/**
 * interrupted: the system uses the audio for something else, for instance a call. muted: by a switch, or by the
 * system. silent: no audio for five seconds, for no reason that is known. running: it comes, or comes again.
 */
export type CaptureState = "running" | "interrupted" | "muted" | "silent";

/** Mono blocks of Float32 samples, to be read once. Leaving the loop closes the microphone. */
export interface Microphone extends AsyncIterable<Float32Array | AudioGap> {
  readonly sampleRate: number;
  readonly label: string;
  stop(): void;
}

export class MicrophoneError extends Error {
  constructor(code: MicrophoneError["code"], message: string, cause?: unknown);
  /** unread: the blocks were not read for ten seconds. */
  readonly code: "refused" | "missing" | "gone" | "busy" | "insecure" | "unread" | "failed";
}

/** Throws MicrophoneError. Needs worklet.js beside microphone.js. */
export function microphone(settings?: {
  deviceId?: string;
  signal?: AbortSignal;
  constraints?: MediaTrackConstraints;
  /** Called where no audio comes, and where it comes again. */
  onState?: (state: CaptureState) => void;
}): Promise<Microphone>;

/** pace: 1 is real time (default), Infinity as fast as it is read. sampleRate: default 16000. */
export function fileBlocks(
  file: Blob,
  settings?: {
    pace?: number;
    sampleRate?: number;
    blockMs?: number;
    signal?: AbortSignal;
    /** Called before the first block. */
    onLength?: (ms: number) => void;
    platform?: Pick<Platform, "now" | "setTimeout">;
  },
): AsyncGenerator<Float32Array, void, void>;
