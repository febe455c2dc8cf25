"""Everything that can be said on the wire, one frozen struct each: encode, decode, JSON Schema.

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


class _Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """Base: the JSON field `type` says which struct it is; unknown fields are ignored."""


# Client to server ---------------------------------------------------------------------------------


class Resume(msgspec.Struct, frozen=True, kw_only=True):
    """The session to take over, and the last `seq` that arrived. secret: that of `ready`; a watcher has
    none.
    """

    session: str
    last_seq: int
    resume_token: str = ""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """Per-session choices; None leaves the server's setting. words: whether events carry words."""

    interim_results: bool | None = None
    words: bool | None = None
    min_silence_ms: int | None = None
    max_utterance_ms: int | None = None


class Start(_Message, frozen=True, kw_only=True, tag="start"):
    """The first message of a client that sends audio."""

    encoding: Literal["pcm_s16le", "pcm_f32le"]
    sample_rate: int
    channels: int
    language: str | None = None
    token: str | None = None
    resume: Resume | None = None
    options: Options = Options()


class Subscribe(_Message, frozen=True, kw_only=True, tag="subscribe"):
    """The first message of a client that looks at one of the server's own streams."""

    stream: str
    token: str | None = None
    resume: Resume | None = None


class Gap(_Message, frozen=True, kw_only=True, tag="gap"):
    """Audio that the client had to drop: the clock moves on by `ms`."""

    ms: int


class Flush(_Message, frozen=True, kw_only=True, tag="flush"):
    """End the utterance in progress at this position."""

    at_samples: int


class Stop(_Message, frozen=True, kw_only=True, tag="stop"):
    """No more audio behind this position: all finals, then `closed`."""

    at_samples: int


ClientMessage = Start | Subscribe | Gap | Flush | Stop


# Server to client ---------------------------------------------------------------------------------


class Models(msgspec.Struct, frozen=True, kw_only=True):
    """Which models speak. asr is null where the server runs on sound alone."""

    vad: str
    asr: str | None
    emotion: str
    device: str


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What one client may ask. session_ms and idle_ms are null where there is no limit."""

    message_bytes: int
    max_unacked_ms: int
    session_ms: int | None = None
    idle_ms: int | None = None


class Ready(_Message, frozen=True, kw_only=True, tag="ready"):
    """The session stands. lost_from_seq: the first event that can no longer be given, or null.

    secret is null for a watcher, who has nothing to take over. received_samples, received_gap_ms: audio
    and gaps that have come, of a session taken over: the client goes on behind them. clock_ms: how far the
    stream is that a watcher joins.
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
    """Audio up to here need not be sent again, and no longer counts against the credit."""

    received_samples: int


class _Event(_Message, frozen=True, kw_only=True):
    """Base of what carries `seq`: rising by one per session, given by the hub."""

    seq: int = 0


class SpeechStarted(_Event, frozen=True, kw_only=True, tag="speech_started"):
    utterance: int
    start_ms: int


class Word(msgspec.Struct, frozen=True, kw_only=True):
    """confidence: the transcriber's own probability, null where it gives none."""

    text: str
    start_ms: int
    end_ms: int
    confidence: float | None


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """Where the time went, in milliseconds of the wall clock.

    endpoint_ms: silence heard after the last speech sample until the end was decided. lead_ms: how long
    before that the analysis had begun, 0 where it had not. queue_ms: waiting for the models. total_ms: from
    the arrival of the last speech sample to the sending.
    """

    endpoint_ms: float
    lead_ms: float
    queue_ms: float
    asr_ms: float
    align_ms: float
    emotion_ms: float
    total_ms: float


class Emotion(_Event, frozen=True, kw_only=True, tag="emotion"):
    """The judgement on an utterance. A final one is never changed or repeated.

    text_only is null where there was no text to read. uncertain: reasons for doubt, empty if none.
    """

    utterance: int
    final: bool
    start_ms: int
    end_ms: int
    reason: Literal["silence", "max_length", "end_of_stream", "flush", "speaking"]
    label: str
    confidence: float
    uncertain: tuple[str, ...]
    probabilities: Probabilities
    audio_only: Probabilities
    text_only: Probabilities | None
    text: str
    language: str | None
    words: tuple[Word, ...]
    timing: Timing


class Dropped(_Event, frozen=True, kw_only=True, tag="dropped"):
    """Audio that was not analysed: nothing is dropped in silence. at_ms: where on the clock it was."""

    ms: int
    reason: str
    at_ms: int = 0


class Error(_Event, frozen=True, kw_only=True, tag="error"):
    """code is stable. fatal: the session ends with it. utterance: the one it is about, if it is one."""

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
    """The last event. reason: why the session ended."""

    reason: Literal["end_of_stream", "shutting_down", "error"]
    totals: Totals


ServerEvent = SpeechStarted | Emotion | Dropped | Error | Closed
ServerMessage = Ready | Ack | ServerEvent

E = TypeVar("E", bound=ServerEvent)

_encoder = msgspec.json.Encoder()
_client_decoder: msgspec.json.Decoder[ClientMessage] = msgspec.json.Decoder(ClientMessage)
_server_decoder: msgspec.json.Decoder[ServerMessage] = msgspec.json.Decoder(ServerMessage)
_tag_decoder = msgspec.json.Decoder(dict[str, Any])

_CLIENT_TYPES: Final = ("start", "subscribe", "gap", "flush", "stop")


def encode(message: ClientMessage | ServerMessage) -> str:
    return _encoder.encode(message).decode()


def decode_server_message(text: str | bytes) -> ServerMessage:
    """What a client reads. Raises ProtocolError."""
    try:
        return _server_decoder.decode(text)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise ProtocolError(f"expected an event of protocol 1, got something else: {error}") from error


def decode_client_message(text: str | bytes) -> ClientMessage:
    """What a server reads. Raises ProtocolError whose message says what was wrong and where."""
    try:
        return _client_decoder.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise ProtocolError(_what_was_wrong(text, error)) from error


def numbered(event: E, seq: int) -> E:
    return msgspec.structs.replace(event, seq=seq)


def schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of every message, generated from the structs."""
    (client, server), components = msgspec.json.schema_components(
        [ClientMessage, ServerMessage], ref_template="#/$defs/{name}"
    )
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"emostream wire protocol {PROTOCOL_VERSION}",
        "$defs": {**components, "ClientMessage": client, "ServerMessage": server},
        "anyOf": [{"$ref": "#/$defs/ClientMessage"}, {"$ref": "#/$defs/ServerMessage"}],
    }


def _what_was_wrong(text: str | bytes, error: Exception) -> str:
    try:
        kind = _tag_decoder.decode(text).get("type")
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return (
            f"expected a JSON object with a type, got text that is none ({error}); send one object a message"
        )
    if kind not in _CLIENT_TYPES:
        shown = repr(kind)[:40]
        return f"expected a type out of {', '.join(_CLIENT_TYPES)}, got {shown}; see /v1/schema.json"
    return f"expected a valid {kind} message, got: {error}; see /v1/schema.json"
