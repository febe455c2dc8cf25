"""Recordings through one inference backend, several at a time."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from emostream.models import SpeakerBaseline

from ..audio.channels import heard_channels
from ..audio.sources import AudioGap, Item, Pcm, Source
from ..audio.tee import TeeSource
from ..clock import Clock
from ..concurrency import task_group
from ..config import Adapt, Settings, VadSettings
from ..display_paths import printable
from ..errors import AnalysisError, SourceError
from ..inference.backend import InferenceBackend
from ..pipeline.event_log import EventLog
from ..pipeline.recording_baseline import first_pass, second_pass_settings
from ..pipeline.running_baseline import SpeakerOptions
from ..pipeline.session import Session
from ..pipeline.session_settings import SessionSettings
from ..pipeline.vad import make_vad
from ..protocol import messages
from ..protocol.error_codes import OF_A_RECORDING, ErrorCode
from ..server.local_stream import run_until_stopped
from .discovery import ReplayJob
from .outputs import OutputFactory, OutputSinks, ReplayOutcome

_OF_ONE_FILE: Final = frozenset({errno.ENAMETOOLONG, errno.EACCES, errno.EPERM, errno.EISDIR, errno.ENOENT})
"""What the file of one recording may fail with, while others can be written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayOptions:
    """How recordings are replayed.

    jobs: how many at a time. realtime: at the pace of their audio instead of as fast as the models go.
    language: of the speech, None to detect it. speaker: who speaks in all of them, if the voice is enrolled.
    queued: see `SessionSettings`. recorded_segmentation, recorded_adapt, recorded_channels: whether a
    recorded session keeps the VAD and segmenter settings, `speaker.adapt` and `audio.channels`, that it was
    recorded with.
    """

    jobs: int = 1
    realtime: bool = False
    language: str | None = None
    speaker: SpeakerBaseline | None = None
    queued: int = 2
    recorded_segmentation: bool = True
    recorded_adapt: bool = True
    recorded_channels: bool = True


@dataclass(slots=True)
class ReplayRunner:
    """Replays recordings.

    on_done: called with the outcome of each recording. on_progress: called with seconds of audio, as they
    are read.
    """

    engine: InferenceBackend
    settings: Settings
    options: ReplayOptions
    clock: Clock
    on_done: Callable[[ReplayOutcome], None]
    on_progress: Callable[[float], None] = field(default=lambda seconds: None)

    async def run_all(
        self, jobs: Sequence[ReplayJob], open_outputs: OutputFactory, stop: asyncio.Event
    ) -> list[ReplayOutcome]:
        """Call it inside `engine.running()`. Jobs that had not begun when `stop` was set have no outcome."""
        outcomes: list[ReplayOutcome] = []
        waiting = iter(jobs)

        async def work() -> None:
            for job in waiting:
                if stop.is_set():
                    return
                outcome = ReplayOutcome(job)
                outcomes.append(outcome)
                try:
                    async with open_outputs(job, outcome) as outputs:
                        await self._run(job, outputs, outcome, stop)
                except OSError as error:
                    if error.errno not in _OF_ONE_FILE:
                        raise
                    outcome.failure = SourceError(
                        f"expected to write the results of {job.path}, got: {error.strerror}; choose another "
                        "place for them"
                    )
                self.on_done(outcome)

        async with task_group() as group:
            for _ in range(min(self.options.jobs, len(jobs))):
                group.create_task(work(), name="replay")
        return outcomes

    async def _run(
        self, job: ReplayJob, outputs: OutputSinks, outcome: ReplayOutcome, stop: asyncio.Event
    ) -> None:
        totals, track = _TotalsSink(printable(job.path)), self.settings.audio.track
        vad, session_settings = self._session_settings(job)

        def report_progress(item: Item, rate_hz: int) -> None:
            match item:
                case Pcm(block):
                    self.on_progress(len(block) / rate_hz)
                case AudioGap(ms):
                    self.on_progress(ms / 1_000)

        ended = True
        try:
            if self._adapt(job) == "recording":
                first = first_pass(
                    job.source(None, track), partial(make_vad, vad), self.engine, session_settings, self.clock
                )
                if not await run_until_stopped(first, stop):
                    return
                session_settings = second_pass_settings(session_settings, first.speakers)
            pace = self.clock if self.options.realtime else None
            recording = await asyncio.to_thread(job.source, pace, track)  # FFmpeg takes 10 ms and more
            heard_channels(session_settings.channels, recording.channels, printable(job.path))
            taps = [_audio_tap(recording, tap) for tap in (*outputs.audio_taps, report_progress)]
            session = Session(
                TeeSource(recording, taps),
                partial(make_vad, vad),
                self.engine,
                EventLog(printable(job.name)),
                [*outputs.sinks, totals],
                session_settings,
                self.clock,
            )
            ended = await run_until_stopped(session, stop, on_stop=self.engine.begin_shutdown)
        except SourceError as error:
            outcome.failure = error
        outcome.failed, outcome.gaps, outcome.notes = totals.failed, totals.gaps, totals.notes
        outcome.totals = totals.totals if ended else None

    def _session_settings(self, job: ReplayJob) -> tuple[VadSettings, SessionSettings]:
        settings, options = self.settings, self.options
        vad, segmenter = settings.vad, settings.segmenter
        if job.session is not None and options.recorded_segmentation:
            vad, segmenter = job.session.vad, job.session.segmenter
        session = (
            SessionSettings.paced(segmenter, settings.live)
            if options.realtime
            else SessionSettings(segmenter, queued=options.queued)
        )
        speaker = SpeakerOptions(adapt=self._adapt(job) != "off", start=options.speaker)
        channels = settings.audio.channels
        if job.session is not None and options.recorded_channels:
            channels = job.session.audio.channels
        return vad, replace(session, language=options.language, speaker=speaker, channels=channels)

    def _adapt(self, job: ReplayJob) -> Adapt:
        if job.session is not None and self.options.recorded_adapt:
            return job.session.speaker.adapt
        return self.settings.speaker.adapt


def _audio_tap(source: Source, tap: Callable[[Item, int], None]) -> Callable[[Item], None]:
    return lambda item: tap(item, source.sample_rate_hz)


class _TotalsSink:
    """Keeps a session's totals, how many utterances have no result and gaps there are, and what is unusual
    about the recording. name: of the recording, for what does not name it.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self.totals: messages.Totals | None = None
        self.failed = 0
        self.gaps = 0
        self.notes: list[str] = []

    async def send(self, event: messages.ServerEvent) -> None:
        match event:
            case messages.Closed():
                self.totals = event.totals
            case messages.Dropped():
                self.gaps += 1
            case messages.Error(code=AnalysisError.code):
                self.failed += 1
            case messages.Error(code=code, message=message) if code in OF_A_RECORDING:
                self.notes.append(message)
            case messages.Error(code=ErrorCode.INVALID_SAMPLES, message=message):
                self.notes.append(f"{self._name}: {message}")
