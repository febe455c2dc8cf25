"""Every message of the wire protocol, one frozen struct each: encoding and decoding.

Times are integer milliseconds on the stream's audio clock; audio positions are sample frames at the
rate that `start` announced. Needs msgspec only: clients import it.
"""

from __future__ import annotations

from typing import Any, Final, Literal, TypeVar

import msgspec

from ..errors import ProtocolError

SUBPROTOCOL: Final = "emostream.v1"
PROTOCOL_VERSION: Final = 1

Probabilities = dict[str, float]

Encoding = Literal["pcm_s16le", "pcm_f32le", "mulaw", "alaw"]
"""Of the audio that a client sends, interleaved. mulaw, alaw: G.711, of telephones."""

SAMPLE_BYTES: Final[dict[Encoding, int]] = {"pcm_s16le": 2, "pcm_f32le": 4, "mulaw": 1, "alaw": 1}

SAMPLE_RATES_HZ: Final = (1_000, 768_000)
CHANNELS: Final = (1, 64)
"""Of `start`, the least and the most: what recordings have."""


LANGUAGE_CHARACTERS: Final = (2, 35)
MAX_GAP_MS: Final = 24 * 3_600_000
GAP_REASON_CHARACTERS: Final = (1, 100)


class _Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """Base: the JSON field `type` identifies the struct; unknown fields are ignored."""


# Client to server ---------------------------------------------------------------------------------


class Resume(msgspec.Struct, frozen=True, kw_only=True):
    """The session to resume, and the `seq` of the last event received. resume_token: that of `ready`;
    subscribers have none.
    """

    session: str
    last_seq: int
    resume_token: str = ""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """Per-session choices; None leaves the server's setting. words: whether events carry words. adapt:
    whether utterances are judged against the speaker's earlier ones. return_speaker: whether `closed` carries
    what the session has learned of the speaker's voice. channels: `mix`: all of them, mixed down; `split`:
    each on its own, with a speaker of its own; a number: that one alone, from 1.
    """

    interim_results: bool | None = None
    words: bool | None = None
    min_silence_ms: int | None = None
    max_utterance_ms: int | None = None
    adapt: Literal["off", "stream"] | None = None
    return_speaker: bool | None = None
    channels: Literal["mix", "split"] | int | None = None


class EnrolledVoice(msgspec.Struct, frozen=True, kw_only=True):
    """A speaker who was enrolled: means of hidden states, no sound. In JSON the bytes are base64.

    total: weighted sum of the mean states of his utterances, float64, little endian; weight: the sum of the
    weights; utterances: how many. probe: the model's mean state of a fixed sound, float32, little endian: a
    server with another model refuses the voice.
    """

    total: bytes
    weight: float
    utterances: int
    probe: bytes


class Start(_Message, frozen=True, kw_only=True, tag="start"):
    """The first message of a client that sends audio. speaker: who speaks, for a baseline that is known from
    the first utterance on.
    """

    encoding: Encoding
    sample_rate: int
    channels: int
    language: str | None = None
    token: str | None = None
    resume: Resume | None = None
    options: Options = Options()
    speaker: EnrolledVoice | None = None


class Subscribe(_Message, frozen=True, kw_only=True, tag="subscribe"):
    """The first message of a client that subscribes to one of the server's own streams. waveform_from_ms:
    `waveform` messages are wanted, from this position of the stream's clock on; null: none.
    """

    stream: str
    token: str | None = None
    resume: Resume | None = None
    waveform_from_ms: int | None = None


class Gap(_Message, frozen=True, kw_only=True, tag="gap"):
    """Audio that the client does not send: the clock moves on by `ms`. reason: for `dropped`; if left out,
    the client had to drop it.
    """

    ms: int
    reason: str | None = None


class Flush(_Message, frozen=True, kw_only=True, tag="flush"):
    """End the utterance in progress at this position, or after the audio so far."""

    at_samples: int | None = None


class Stop(_Message, frozen=True, kw_only=True, tag="stop"):
    """No more audio after this position, or after the audio so far: all finals follow, then `closed`."""

    at_samples: int | None = None


ClientMessage = Start | Subscribe | Gap | Flush | Stop


# Server to client ---------------------------------------------------------------------------------


class Models(msgspec.Struct, frozen=True, kw_only=True):
    """The models that the server runs. asr is null where it classifies audio only. asr_source: where the
    transcriber's weights were found, null where they come with its program.
    """

    vad: str
    asr: str | None
    emotion: str
    device: str
    asr_source: str | None = None


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of one client. session_ms and idle_ms are null where there is no limit."""

    message_bytes: int
    max_unacked_ms: int
    session_ms: int | None = None
    idle_ms: int | None = None


class Ready(_Message, frozen=True, kw_only=True, tag="ready"):
    """The session is open. lost_from_seq: the first event that can no longer be sent, or null.

    resume_token is null for a subscriber. received_samples, received_gap_ms: audio and gaps that a resumed
    session has received: the client continues after them. clock_ms: the present position of the stream that
    a subscriber joins.
    """

    session: str
    resume_token: str | None
    labels: tuple[str, ...]
    models: Models
    limits: Limits
    protocol: int = PROTOCOL_VERSION
    resumed: bool = False
    lost_from_seq: int | None = None
    received_samples: int = 0
    received_gap_ms: int = 0
    clock_ms: int = 0


class Ack(_Message, frozen=True, kw_only=True, tag="ack"):
    """received_samples: audio up to here has come, and no longer counts as unacknowledged.

    committed_samples: the events that came before hold all results of the audio up to here: a client need
    not keep it any longer, not even for a server that restarts. Null from a server that does not tell: then
    it is received_samples. waiting_samples: the first position beyond the audio so far where a flush or the
    stop waits; null where none does.
    """

    received_samples: int
    committed_samples: int | None = None
    waiting_samples: int | None = None


class Waveform(_Message, frozen=True, kw_only=True, tag="waveform"):
    """How loud a subscribed stream is, for drawing: no sound can be made of it. In JSON the bytes are base64.

    peaks: a byte for each `step_ms` from `from_ms` on, 255 times the square root of the loudest sample there
    (1 is full scale), all channels mixed.
    """

    from_ms: int
    step_ms: int
    peaks: bytes


class _Event(_Message, frozen=True, kw_only=True):
    """Base of the messages with a `seq`, which rises by one and is set by the event log."""

    seq: int = 0


class SpeechStarted(_Event, frozen=True, kw_only=True, tag="speech_started"):
    """channel: from 1, where it is heard on its own; null where all are mixed."""

    utterance: int
    channel: int | None = None
    start_ms: int


class Word(msgspec.Struct, frozen=True, kw_only=True):
    """confidence: the transcriber's probability, null where it has none."""

    text: str
    start_ms: int
    end_ms: int
    confidence: float | None


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """Where the time went, in milliseconds of the wall clock.

    endpoint_ms: silence after the last speech sample until the end was decided. lead_ms: how long before that
    the analysis had started, 0 where it had not. queue_ms: waiting for the models. total_ms: from the arrival
    of the last speech sample to this event.
    """

    endpoint_ms: float
    lead_ms: float
    queue_ms: float
    asr_ms: float
    align_ms: float
    emotion_ms: float
    total_ms: float


class Emotion(_Event, frozen=True, kw_only=True, tag="emotion"):
    """The prediction for an utterance. A final one is never changed or repeated.

    text_only is null where there was no text to classify. reliable: whether to believe the label.
    uncertain: reasons why the prediction is uncertain, empty if there are none. baseline_utterances: how many
    earlier utterances of the speaker stand behind the baseline that it was judged against; null where there
    is none. stable_chars: of an interim result with words, so many characters at
    the beginning of `text` are the same in all later interim results of the utterance; null otherwise.
    language: BCP 47, of the text: the hint of `start`, or what the transcriber detected; null where there was
    no transcriber. channel: as in `speech_started`.
    """

    utterance: int
    channel: int | None = None
    final: bool
    start_ms: int
    end_ms: int
    reason: Literal["silence", "max_length", "end_of_stream", "flush", "speaking"]
    label: str
    confidence: float
    reliable: bool = True
    uncertain: tuple[str, ...]
    baseline_utterances: int | None = None
    probabilities: Probabilities
    audio_only: Probabilities
    text_only: Probabilities | None
    text: str
    language: str | None
    words: tuple[Word, ...]
    timing: Timing
    stable_chars: int | None = None


class NoEmotion(_Event, frozen=True, kw_only=True, tag="no_emotion"):
    """An utterance that gets no emotion: the final event for it, in place of `emotion`.

    reason: `no_speech`, a sound that is none; `misread_samples`, levels that no sound has. speech: the
    probability of speech in the stretch of the utterance that sounds most like it, 0 to 1. channel: as in
    `speech_started`.
    """

    utterance: int
    channel: int | None = None
    start_ms: int
    end_ms: int
    reason: Literal["no_speech", "misread_samples"]
    speech: float


class Dropped(_Event, frozen=True, kw_only=True, tag="dropped"):
    """Audio that was not analysed, or that a recording does not have: nothing is dropped without this event.
    at_ms: its place on the clock.
    """

    ms: int
    reason: str
    at_ms: int = 0


class Error(_Event, frozen=True, kw_only=True, tag="error"):
    """code is stable. fatal: the session ends with it. utterance: the one that it concerns, or null."""

    code: str
    message: str
    fatal: bool
    utterance: int | None = None
    retry_after_ms: int | None = None


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    audio_ms: int
    utterances: int
    dropped_ms: int


class Closed(_Event, frozen=True, kw_only=True, tag="closed"):
    """The last event. reason: why the session ended. speaker: the voice, for a client that asked for it; null
    otherwise, and where nothing was learned.
    """

    reason: Literal["end_of_stream", "shutting_down", "error"]
    totals: Totals
    speaker: EnrolledVoice | None = None


ServerEvent = SpeechStarted | Emotion | NoEmotion | Dropped | Error | Closed
ServerMessage = Ready | Ack | Waveform | ServerEvent

E = TypeVar("E", bound=ServerEvent)

_encoder = msgspec.json.Encoder()
_client_decoder: msgspec.json.Decoder[ClientMessage] = msgspec.json.Decoder(ClientMessage)
_server_decoder: msgspec.json.Decoder[ServerMessage] = msgspec.json.Decoder(ServerMessage)
_event_decoder: msgspec.json.Decoder[ServerEvent] = msgspec.json.Decoder(ServerEvent)
_tag_decoder = msgspec.json.Decoder(dict[str, Any])

_MAX_UNKNOWN, _MAX_SHOWN = 8, 40  # fields that are named in an error, and characters of each

_CLIENT_TYPES: Final = ("start", "subscribe", "gap", "flush", "stop")


def encode(message: ClientMessage | ServerMessage) -> str:
    return _encoder.encode(message).decode()


def decode_server_message(text: str | bytes) -> ServerMessage:
    """For clients. Raises ProtocolError."""
    try:
        return _server_decoder.decode(text)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise ProtocolError(f"expected an event of protocol 1, got something else: {error}") from error


def decode_event(text: str) -> ServerEvent:
    """What `encode` made of an event."""
    return _event_decoder.decode(text)


def decode_client_message(text: str | bytes) -> ClientMessage:
    """For servers. Raises ProtocolError whose message describes the problem and its location."""
    try:
        return _client_decoder.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise ProtocolError(_describe_mistake(text, error)) from error


def unknown_fields(text: str, message: Start | Subscribe) -> tuple[str, ...]:
    """The fields of a valid first message that this protocol does not have, at most a few; `options.NAME` for
    those of the options.
    """
    sent = _tag_decoder.decode(text)
    unknown = [name for name in sent if name not in ("type", *message.__struct_fields__)]
    options = sent.get("options")
    if isinstance(message, Start) and isinstance(options, dict):
        unknown += [f"options.{name}" for name in options if name not in Options.__struct_fields__]
    return tuple(name[:_MAX_SHOWN] for name in unknown[:_MAX_UNKNOWN])


def with_seq(event: E, seq: int) -> E:
    return msgspec.structs.replace(event, seq=seq)


def _describe_mistake(text: str | bytes, error: Exception) -> str:
    try:
        kind = _tag_decoder.decode(text).get("type")
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return f"expected a JSON object with a type, got other text ({error}); send one object a message"
    if kind not in _CLIENT_TYPES:
        shown = repr(kind)[:40]
        return f"expected a type out of {', '.join(_CLIENT_TYPES)}, got {shown}; see /v1/schema.json"
    return f"expected a valid {kind} message, got: {error}; see /v1/schema.json"
