"""Recordings at full speed compared with the models alone: the cost of everything around them."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from emostream.models import Recognizer, SpeechDetector, Transcriber

from ..audio.frontend import Samples
from ..audio.sources import FileSource
from ..clock import Clock
from ..concurrency import task_group
from ..config import Settings
from ..inference.engine import Engine
from ..pipeline.event_log import EventLog
from ..pipeline.session import Session
from ..pipeline.session_settings import SessionSettings
from ..pipeline.vad import make_vad
from ..protocol.messages import Totals
from .workload import write_recording


@dataclass(frozen=True, slots=True)
class ReplaySpeed:
    """Medians over the repeats.

    replay, bare: seconds of audio per second of wall clock. utterances, batches: of one repeat. at_a_time:
    recordings.
    """

    replay: float
    bare: float
    utterances: int
    batches: int
    at_a_time: int

    @property
    def share(self) -> float:
        """Replay's speed relative to the bare models'."""
        return self.replay / self.bare


@dataclass(frozen=True, slots=True)
class BenchmarkedModels:
    """speech_detector: None where every utterance is taken for speech."""

    transcriber: Transcriber | None
    recognizer: Recognizer
    speech_detector: SpeechDetector | None = None


@dataclass(frozen=True, slots=True)
class ReplayBenchmark:
    """The models and settings to measure, and how often."""

    models: BenchmarkedModels
    settings: Settings
    clock: Clock
    repeats: int

    async def run(
        self, recordings: Sequence[Samples], on_round: Callable[[float], None] = lambda _: None
    ) -> ReplaySpeed:
        """Alternately: the recordings through a session each, some at a time as `emostream replay` does, then
        the model calls that they made, on as many threads a model, with nothing to wait for: a bound that no
        replay with these batches passes. on_round: called with 1 after each round.
        """
        with TemporaryDirectory() as folder:
            files = [
                write_recording(samples, Path(folder, f"{number}.wav"))
                for number, samples in enumerate(recordings)
            ]
            rounds = []
            for _ in range(self.repeats):
                rounds.append(await self._round(files))
                on_round(1)
        last = rounds[-1]
        seconds = sum(totals.audio_ms for totals in last.totals) / 1_000
        return ReplaySpeed(
            replay=seconds / statistics.median(one.replay_s for one in rounds),
            bare=seconds / statistics.median(one.bare_s for one in rounds),
            utterances=sum(totals.utterances for totals in last.totals),
            batches=last.calls,
            at_a_time=last.at_a_time,
        )

    async def _round(self, files: Sequence[Path]) -> _Round:
        models = self.models
        recorders = {
            name: _CallRecorder(model)
            for name, model in (
                ("speech", models.speech_detector),
                ("asr", models.transcriber),
                ("emotion", models.recognizer),
            )
            if model is not None
        }
        engine = Engine(
            recorders.get("asr"),
            recorders["emotion"],
            self.clock,
            speech_detector=recorders.get("speech"),
            recordings=True,
        )
        at_a_time = min(engine.recordings_at_a_time, len(files))
        waiting, totals = iter(files), list[Totals]()

        async def work() -> None:
            for file in waiting:
                source = await asyncio.to_thread(FileSource, file)
                totals.append(await self._session(source, engine, at_a_time).run())

        async with engine.running():
            began = self.clock.now()
            async with task_group() as group:
                for _ in range(at_a_time):
                    group.create_task(work(), name="replay")
            replay_s = self.clock.now() - began
        threads = {worker.name: worker.threads for worker in engine.workers}
        bare_s = self._bare({name: recorder.calls for name, recorder in recorders.items()}, threads)
        calls = sum(len(recorder.calls) for recorder in recorders.values())
        return _Round(replay_s, bare_s, totals, calls, at_a_time)

    def _session(self, source: FileSource, engine: Engine, at_a_time: int) -> Session:
        return Session(
            source,
            partial(make_vad, self.settings.vad),
            engine,
            EventLog("bench"),
            [],
            SessionSettings(self.settings.segmenter, queued=engine.utterances_queued(at_a_time)),
            self.clock,
        )

    def _bare(self, calls: dict[str, list[_Call]], threads: dict[str, int]) -> float:
        """Seconds for these calls of each model."""
        with ExitStack() as stack:
            pools = {name: stack.enter_context(ThreadPoolExecutor(threads[name])) for name in calls}
            began = self.clock.now()
            running = [pools[name].submit(call) for name, of_model in calls.items() for call in of_model]
            for future in running:
                future.result()
            return self.clock.now() - began


_Call = Callable[[], Any]


@dataclass(frozen=True, slots=True)
class _Round:
    """One repeat. calls: of the models."""

    replay_s: float
    bare_s: float
    totals: Sequence[Totals]
    calls: int
    at_a_time: int


@dataclass(slots=True)
class _CallRecorder:
    """A model whose calls are recorded."""

    model: Any
    calls: list[_Call] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self.model, name)
        if not callable(attribute):
            return attribute

        def call(*arguments: Any) -> Any:
            self.calls.append(partial(attribute, *arguments))
            return attribute(*arguments)

        return call
