"""Many recordings through one engine, some at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace

from ..audio.frontend import Samples
from ..audio.sources import Item, Pcm, Source
from ..audio.tee import Tapped
from ..clock import Clock
from ..concurrency import task_group
from ..config import Settings
from ..display_paths import shown
from ..errors import AnalysisError, SourceError
from ..inference.backend import Analyser
from ..pipeline.event_log import Hub
from ..pipeline.session import Session, SessionSettings, Sink
from ..pipeline.vad import make_vad
from ..protocol import messages
from ..server.local_stream import run_session
from .discovery import Job, Outcome


@dataclass(frozen=True, slots=True)
class Outlet:
    """Where one recording goes. sinks: its events. ears: its sound as it is read, (n, channels) float32, and
    the rate in Hz.
    """

    sinks: Sequence[Sink]
    ears: Sequence[Callable[[Samples, int], None]] = ()


@dataclass(slots=True)
class Player:
    """jobs: how many recordings at a time. natural: at the pace at which they were spoken. told: of every
    recording that is done or has failed. heard: of seconds of sound, as they are read. as_kept: whether a
    kept session is cut into utterances as it was then.
    """

    engine: Analyser
    settings: Settings
    session_settings: SessionSettings
    clock: Clock
    jobs: int
    natural: bool
    told: Callable[[Outcome], None]
    heard: Callable[[float], None] = field(default=lambda seconds: None)
    as_kept: bool = True

    async def play_all(
        self,
        jobs: Sequence[Job],
        outlet: Callable[[Job, Outcome], AbstractAsyncContextManager[Outlet]],
        stop: asyncio.Event,
    ) -> list[Outcome]:
        """Inside `engine.running()`. outlet: of a recording, left when its outcome is known. Those that were
        not begun when `stop` was set have no outcome.
        """
        outcomes: list[Outcome] = []
        waiting = iter(jobs)

        async def work() -> None:
            for job in waiting:
                if stop.is_set():
                    return
                outcome = Outcome(job)
                outcomes.append(outcome)
                async with outlet(job, outcome) as to:
                    await self._play(job, to, outcome, stop)
                self.told(outcome)

        async with task_group() as group:
            for _ in range(min(self.jobs, len(jobs))):
                group.create_task(work(), name="replay")
        return outcomes

    async def _play(self, job: Job, to: Outlet, outcome: Outcome, stop: asyncio.Event) -> None:
        totals = _TotalsSink()
        vad, session_settings = self.settings.vad, self.session_settings
        if job.kept is not None and self.as_kept:
            vad, session_settings = job.kept.vad, replace(session_settings, segmenter=job.kept.segmenter)

        def heard(block: Samples, rate_hz: int) -> None:
            self.heard(len(block) / rate_hz)

        try:
            recording = job.source(self.clock if self.natural else None)
            source = Tapped(recording, [_ear(recording, hear) for hear in (*to.ears, heard)])
            session = Session(
                source,
                make_vad(vad),
                self.engine,
                Hub(shown(job.name)),
                [*to.sinks, totals],
                session_settings,
                self.clock,
            )
            whole = await run_session(session, stop, on_stop=self.engine.hurry)
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
