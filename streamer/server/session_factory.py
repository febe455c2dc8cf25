"""A session for a websocket client: its settings, its source, and the messages that feed it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial

import msgspec
from websockets.asyncio.server import ServerConnection

from emostream.models import primary_subtag

from ..clock import Clock
from ..config import Channels, LiveSettings, SegmenterSettings, Settings, SpeakerSettings
from ..errors import FlowControlError, ProtocolError
from ..inference.backend import InferenceBackend, ModelInfo
from ..pipeline.event_log import EventLog
from ..pipeline.running_baseline import SpeakerOptions
from ..pipeline.session import Session
from ..pipeline.session_settings import SessionSettings
from ..pipeline.vad import make_vad
from ..protocol import messages
from ..speakers.voice import baseline_of
from .audio_connection import AudioConnection
from .websocket_source import WebSocketSource, validate_start


def create_session(
    start: messages.Start,
    event_log: EventLog,
    settings: Settings,
    engine: InferenceBackend,
    clock: Clock,
) -> tuple[Session, WebSocketSource]:
    """A session that appends its events to the log, and the source that the socket feeds.

    Raises BadStartError and ConfigError.
    """
    channels = _chosen_channels(start, settings)
    validate_start(start, channels)
    source = WebSocketSource(
        start, settings.server.max_unacked_ms, acknowledge=lambda _: event_log.wake_readers()
    )
    session = Session(
        source,
        partial(make_vad, settings.vad),
        engine,
        event_log,
        [],
        replace(
            SessionSettings.paced(
                segmenter_settings(settings.segmenter, start.options),
                live_settings(settings.live, start.options),
            ),
            language=start.language,
            words=start.options.words is not False,
            transcript=settings.server.transcript,
            speaker=speaker_options(settings.speaker, start, engine.model_info),
            channels=channels,
            return_speaker=start.options.return_speaker is True,
        ),
        clock,
    )
    source.hold_quiet_audio(lambda: session.idle)
    return session, source


def analysed_channel_count(start: messages.Start, settings: Settings) -> int:
    """How many channels of it are analysed, each of which costs as much as a stream."""
    return start.channels if _chosen_channels(start, settings) == "split" else 1


def _chosen_channels(start: messages.Start, settings: Settings) -> Channels:
    return settings.audio.channels if start.options.channels is None else start.options.channels


def segmenter_settings(settings: SegmenterSettings, options: messages.Options) -> SegmenterSettings:
    """The server's settings with the client's options. Raises ConfigError.

    A client cannot set the tail, so where it asks for a shorter silence the tail shrinks with it.
    """
    fields = msgspec.structs.asdict(settings)
    if options.min_silence_ms is not None:
        fields["min_silence_ms"] = options.min_silence_ms
        fields["tail_ms"] = min(settings.tail_ms, max(0, options.min_silence_ms // 2))
    if options.max_utterance_ms is not None:
        fields["max_utterance_ms"] = options.max_utterance_ms
    return SegmenterSettings(**fields)


def live_settings(settings: LiveSettings, options: messages.Options) -> LiveSettings:
    """The server's settings; a client may turn interim results off, but not ask for more."""
    if options.interim_results is False:
        return msgspec.structs.replace(settings, interim_interval_ms=0)
    return settings


def speaker_options(settings: SpeakerSettings, start: messages.Start, info: ModelInfo) -> SpeakerOptions:
    """The server's settings with the client's options and speaker. Raises ConfigError for a voice that these
    models cannot use.
    """
    return SpeakerOptions(
        adapt=(start.options.adapt or settings.adapt) != "off",
        start=None if start.speaker is None else baseline_of(start.speaker, info),
    )


def remarks(start: messages.Start, unknown: Sequence[str], info: ModelInfo) -> list[str]:
    """What a valid `start` asks for and does not get. unknown: fields that the protocol does not have."""
    found = [
        f"expected a field of `start`, got {name!r}: it is ignored; see /v1/schema.json" for name in unknown
    ]
    remark = language_remark("start.language", start.language, info)
    return found if remark is None else [*found, remark]


def language_remark(field: str, language: str | None, info: ModelInfo) -> str | None:
    """What to say about a hint that the transcriber does not take. field: where the hint stands."""
    known = info.asr_languages
    if language is None or not known or primary_subtag(language) in known:
        return None
    expected = f"one of the {len(known)} languages" if len(known) > 1 else known[0]
    return (
        f"expected {field} to be {expected} of {info.asr}, got {language!r}: the hint is "
        f"ignored; {'the language is detected' if len(known) > 1 else 'the words will be wrong'}"
    )


async def receive_messages(
    socket: ServerConnection, source: WebSocketSource, on_message: Callable[[], None] = lambda: None
) -> None:
    """Feed the source with what the client sends. on_message: called for every message.

    Always reads: a server that stops reading never sees a pong. Raises ConnectionClosed.
    """

    def receive(message: str | bytes) -> None:
        on_message()
        try:
            try:
                _handle(message, source)
            except ProtocolError as error:
                source.warn(error.code, str(error))
        except FlowControlError as error:
            source.fail(error)

    with socket.audio_to(receive) if isinstance(socket, AudioConnection) else nullcontext():
        while True:
            receive(await socket.recv())


def _handle(message: str | bytes, source: WebSocketSource) -> None:
    if isinstance(message, bytes):
        source.feed(message)
        return
    match messages.decode_client_message(message):
        case messages.Start() | messages.Subscribe():
            raise ProtocolError(
                "expected start or subscribe once, got it again; open another socket for that"
            )
        case control:
            source.handle(control)
