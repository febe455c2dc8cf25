"""An uploaded recording through the pipeline: the events of `emostream replay`, one by one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from ...audio.decode import AudioFile
from ...audio.memory_file import MemoryFile
from ...audio.sources import AudioGap, FileSource, Item, Pcm, Source
from ...audio.tee import TeeSource
from ...clock import Clock
from ...config import Settings
from ...errors import SourceError
from ...inference.backend import InferenceBackend
from ...inference.request import Priority
from ...pipeline.event_log import EventLog
from ...pipeline.recording_baseline import first_pass, second_pass_settings
from ...pipeline.running_baseline import SpeakerOptions
from ...pipeline.session import Session
from ...pipeline.session_settings import SessionSettings
from ...pipeline.vad import make_vad
from ...protocol import messages
from .transcription_request import TranscriptionRequest

_READ_S: Final = 1.0
"""Of audio at once: live streams wait while that much is resampled and searched for speech."""

OnEvent = Callable[[messages.ServerEvent], Awaitable[None]]


class RecordingTooLongError(SourceError):
    """It is longer than `server.recording_ms`."""


class _EventSink:
    def __init__(self, on_event: OnEvent) -> None:
        self._on_event = on_event

    async def send(self, event: messages.ServerEvent) -> None:
        await self._on_event(event)


async def analyse_recording(
    request: TranscriptionRequest,
    engine: InferenceBackend,
    settings: Settings,
    clock: Clock,
    on_event: OnEvent,
) -> None:
    """on_event: called for every event, up to and with `closed`; may wait.

    Raises SourceError where the recording cannot be read, is too long or lacks the channel, and what
    `on_event` raises. What could be read of a damaged one is analysed first.
    """
    adapt = settings.speaker.adapt
    channels = settings.audio.channels if request.channels is None else request.channels
    session_settings = SessionSettings(
        settings.segmenter,
        language=request.language,
        transcript=settings.server.transcript,
        speaker=SpeakerOptions(adapt=adapt != "off"),
        channels=channels,
        priority=Priority.RECORDING,
    )
    new_vad = partial(make_vad, settings.vad)
    if adapt == "recording":
        source = await _open(request.file, settings)
        first = first_pass(source, new_vad, engine, session_settings, clock)
        await first.run()
        session_settings = second_pass_settings(session_settings, first.speakers)
    source = await _open(request.file, settings)
    log = EventLog("transcription")
    await Session(source, new_vad, engine, log, [_EventSink(on_event)], session_settings, clock).run()


async def _open(file: MemoryFile, settings: Settings) -> Source:
    """Raises SourceError."""
    opened = await asyncio.to_thread(AudioFile, file, track=settings.audio.track)
    length = _LengthLimit(opened, settings.server.recording_ms)
    source = FileSource(opened, read_s=_READ_S)
    return TeeSource(source, [length.add])


class _LengthLimit:
    """Ends a recording that is longer than limit_ms; 0 is without limit. Raises SourceError where its headers
    say so.
    """

    def __init__(self, file: AudioFile, limit_ms: int) -> None:
        self._rate_hz = file.sample_rate_hz
        self._limit_ms = limit_ms
        self._samples = self._gaps_ms = 0
        declared_s = file.declared_duration_s
        if declared_s is not None:
            self._check(declared_s * 1_000)

    def add(self, item: Item) -> None:
        match item:
            case Pcm(block):
                self._samples += len(block)
            case AudioGap(ms):
                self._gaps_ms += ms
        self._check(self._samples * 1_000 / self._rate_hz + self._gaps_ms)

    def _check(self, ms: float) -> None:
        if self._limit_ms and ms > self._limit_ms:
            raise RecordingTooLongError(
                f"expected a recording of at most {self._limit_ms / 1_000:g} s, got a longer one; send it in "
                "parts"
            )
