"""Many recordings through one engine, some at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace

from ..audio.frontend import Samples
from ..audio.sources import Item, Pcm, Source
from ..audio.tee import TeeSource
from ..clock import Clock
from ..concurrency import task_group
from ..config import Settings
from ..display_paths import shown
from ..errors import AnalysisError, SourceError
from ..inference.backend import InferenceBackend
from ..pipeline.event_log import EventLog
from ..pipeline.session import Session, SessionSettings, Sink
from ..pipeline.vad import make_vad
from ..protocol import messages
from ..server.local_stream import run_until_stopped
from .discovery import ReplayJob, ReplayOutcome


@dataclass(frozen=True, slots=True)
class OutputSinks:
    """Where one recording goes. sinks: its events. ears: its sound as it is read, (n, channels) float32, and
    the rate in Hz.
    """

    sinks: Sequence[Sink]
    audio_taps: Sequence[Callable[[Samples, int], None]] = ()


@dataclass(slots=True)
class ReplayRunner:
    """jobs: how many recordings at a time. natural: at the pace at which they were spoken. told: of every
    recording that is done or has failed. heard: of seconds of sound, as they are read.
    recorded_segmentation: whether a kept session is cut into utterances as it was then.
    """

    engine: InferenceBackend
    settings: Settings
    session_settings: SessionSettings
    clock: Clock
    jobs: int
    natural: bool
    told: Callable[[ReplayOutcome], None]
    heard: Callable[[float], None] = field(default=lambda seconds: None)
    recorded_segmentation: bool = True

    async def run_all(
        self,
        jobs: Sequence[ReplayJob],
        outlet: Callable[[ReplayJob, ReplayOutcome], AbstractAsyncContextManager[OutputSinks]],
        stop: asyncio.Event,
    ) -> list[ReplayOutcome]:
        """Inside `engine.running()`. outlet: of a recording, left when its outcome is known. Those that were
        not begun when `stop` was set have no outcome.
        """
        outcomes: list[ReplayOutcome] = []
        waiting = iter(jobs)

        async def work() -> None:
            for job in waiting:
                if stop.is_set():
                    return
                outcome = ReplayOutcome(job)
                outcomes.append(outcome)
                async with outlet(job, outcome) as to:
                    await self._play(job, to, outcome, stop)
                self.told(outcome)

        async with task_group() as group:
            for _ in range(min(self.jobs, len(jobs))):
                group.create_task(work(), name="replay")
        return outcomes

    async def _play(
        self, job: ReplayJob, to: OutputSinks, outcome: ReplayOutcome, stop: asyncio.Event
    ) -> None:
        totals = _TotalsSink()
        vad, session_settings = self.settings.vad, self.session_settings
        if job.kept is not None and self.recorded_segmentation:
            vad, session_settings = job.kept.vad, replace(session_settings, segmenter=job.kept.segmenter)

        def heard(block: Samples, rate_hz: int) -> None:
            self.heard(len(block) / rate_hz)

        try:
            recording = job.source(self.clock if self.natural else None)
            source = TeeSource(recording, [_ear(recording, hear) for hear in (*to.audio_taps, heard)])
            session = Session(
                source,
                make_vad(vad),
                self.engine,
                EventLog(shown(job.name)),
                [*to.sinks, totals],
                session_settings,
                self.clock,
            )
            whole = await run_until_stopped(session, stop, on_stop=self.engine.begin_shutdown)
        except SourceError as error:
            outcome.failure = error
            whole = True
        outcome.failed = totals.failed
        outcome.totals = totals.totals if whole else None


def _ear(source: Source, hear: Callable[[Samples, int], None]) -> Callable[[Item], None]:
    def tap(item: Item) -> None:
        if isinstance(item, Pcm):
            hear(item.block, source.sample_rate_hz)

    return tap


class _TotalsSink:
    """Keeps the last word of a session, and how many utterances have no result."""

    def __init__(self) -> None:
        self.totals: messages.Totals | None = None
        self.failed = 0

    async def send(self, event: messages.ServerEvent) -> None:
        if isinstance(event, messages.Closed):
            self.totals = event.totals
        elif isinstance(event, messages.Error) and event.code == AnalysisError.code:
            self.failed += 1
