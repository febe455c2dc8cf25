"""Replay at full speed compared with the models alone: the cost of everything around them."""

from __future__ import annotations

import statistics
import wave
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from emostream.models import Recognizer, Transcriber

from ..audio.frontend import Samples, encode_pcm
from ..audio.sources import FileSource
from ..clock import Clock
from ..config import SAMPLE_RATE_HZ, Settings
from ..inference.engine import Engine
from ..pipeline.event_log import EventLog
from ..pipeline.session import Session
from ..pipeline.session_settings import SessionSettings
from ..pipeline.vad import make_vad
from ..protocol.messages import Totals


@dataclass(frozen=True, slots=True)
class ReplaySpeed:
    """Medians over the repeats.

    replay, bare: seconds of audio per second of wall clock. utterances, batches: of one repeat.
    """

    replay: float
    bare: float
    utterances: int
    batches: int

    @property
    def share(self) -> float:
        """Replay's speed relative to the bare models'."""
        return self.replay / self.bare


@dataclass(frozen=True, slots=True)
class ReplayBenchmark:
    """The models and settings to measure, and how often."""

    transcriber: Transcriber | None
    recognizer: Recognizer
    settings: Settings
    clock: Clock
    repeats: int

    async def run(self, samples: Samples, on_round: Callable[[float], None] = lambda _: None) -> ReplaySpeed:
        """Alternately: a recording through a session, then the model calls that it made, in a bare loop.
        on_round: called with 1 after each round.
        """
        with TemporaryDirectory() as folder:
            recording = _write(samples, Path(folder))
            rounds = []
            for _ in range(self.repeats):
                rounds.append(await self._round(recording))
                on_round(1)
        last = rounds[-1]
        seconds = last.totals.audio_ms / 1_000
        return ReplaySpeed(
            replay=seconds / statistics.median(one.replay_s for one in rounds),
            bare=seconds / statistics.median(one.bare_s for one in rounds),
            utterances=last.totals.utterances,
            batches=last.calls,
        )

    async def _round(self, recording: Path) -> _Round:
        calls: list[tuple[Callable[..., Any], tuple[Any, ...]]] = []
        engine = Engine(
            None if self.transcriber is None else _CallRecorder(self.transcriber, calls),
            _CallRecorder(self.recognizer, calls),
            self.clock,
        )
        session = Session(
            FileSource(recording),
            partial(make_vad, self.settings.vad),
            engine,
            EventLog("bench"),
            [],
            SessionSettings(self.settings.segmenter),
            self.clock,
        )
        async with engine.running():
            began = self.clock.now()
            totals = await session.run()
            replay_s = self.clock.now() - began
        began = self.clock.now()
        for call, arguments in calls:
            call(*arguments)
        return _Round(replay_s, self.clock.now() - began, totals, len(calls))


@dataclass(frozen=True, slots=True)
class _Round:
    """One repeat. calls: of the models."""

    replay_s: float
    bare_s: float
    totals: Totals
    calls: int


class _CallRecorder:
    """A model whose calls are recorded."""

    def __init__(self, model: Any, calls: list[tuple[Callable[..., Any], tuple[Any, ...]]]) -> None:
        self._model = model
        self._calls = calls

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._model, name)
        if not callable(attribute):
            return attribute

        def call(*arguments: Any) -> Any:
            self._calls.append((attribute, arguments))
            return attribute(*arguments)

        return call


def _write(samples: Samples, folder: Path) -> Path:
    path = folder / "load.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE_HZ)
        file.writeframes(encode_pcm(samples[:, np.newaxis], "pcm_s16le"))
    return path
