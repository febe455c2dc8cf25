"""Replay at full speed against the models alone: what everything around them costs."""

from __future__ import annotations

import statistics
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from emostream.models import Recognizer, Transcriber

from .audio import Samples
from .clock import Clock
from .config import SAMPLE_RATE_HZ, Settings
from .engine import Engine
from .hub import Hub
from .measuring import BLOCK_SAMPLES
from .session import Session, SessionSettings
from .sources import Item, Pcm
from .vad import make_vad


@dataclass(frozen=True, slots=True)
class ReplaySpeed:
    """Medians. replay, bare: seconds of sound per second of wall clock. utterances, batches: of one turn."""

    replay: float
    bare: float
    utterances: int
    batches: int

    @property
    def share(self) -> float:
        """Of the bare models' speed."""
        return self.replay / self.bare


async def replay_speed(
    samples: Samples,
    transcriber: Transcriber | None,
    recognizer: Recognizer,
    settings: Settings,
    clock: Clock,
    repeats: int,
) -> ReplaySpeed:
    """Turn by turn: the sound through a session, then the calls that it made of the models, in a loop."""
    replays: list[float] = []
    bares: list[float] = []
    utterances = batches = 0
    for _ in range(repeats):
        calls: list[tuple[Callable[..., Any], tuple[Any, ...]]] = []
        engine = Engine(
            None if transcriber is None else _Recorded(transcriber, calls),
            _Recorded(recognizer, calls),
            clock,
        )
        session = Session(
            _Memory(samples),
            make_vad(settings.vad),
            engine,
            Hub("bench"),
            [],
            SessionSettings(settings.segmenter),
            clock,
        )
        async with engine.running():
            began = clock.now()
            utterances = (await session.run()).utterances
            replays.append(clock.now() - began)
        began = clock.now()
        for call, arguments in calls:
            call(*arguments)
        bares.append(clock.now() - began)
        batches = len(calls)
    seconds = len(samples) / SAMPLE_RATE_HZ
    replay, bare = (seconds / statistics.median(times) for times in (replays, bares))
    return ReplaySpeed(replay, bare, utterances, batches)


class _Recorded:
    """A model that keeps what it was asked."""

    def __init__(self, model: Any, calls: list[tuple[Callable[..., Any], tuple[Any, ...]]]) -> None:
        self._model = model
        self._calls = calls

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._model, name)
        if not callable(found):
            return found

        def call(*arguments: Any) -> Any:
            self._calls.append((found, arguments))
            return found(*arguments)

        return call


class _Memory:
    """A source that has it all at once."""

    sample_rate_hz, channels = SAMPLE_RATE_HZ, 1

    def __init__(self, samples: Samples) -> None:
        self._samples = samples

    def stop(self) -> None:
        self._samples = self._samples[:0]

    async def items(self) -> AsyncIterator[Item]:
        for start in range(0, len(self._samples), BLOCK_SAMPLES):
            yield Pcm(self._samples[start : start + BLOCK_SAMPLES, np.newaxis])
