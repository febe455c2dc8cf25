"""Replay at full speed compared with the models alone: the cost of everything around them."""

from __future__ import annotations

import statistics
import wave
from collections.abc import Callable
from dataclasses import dataclass
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
from ..pipeline.session import Session, SessionSettings
from ..pipeline.vad import make_vad


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


async def replay_speed(
    samples: Samples,
    transcriber: Transcriber | None,
    recognizer: Recognizer,
    settings: Settings,
    clock: Clock,
    repeats: int,
) -> ReplaySpeed:
    """Alternately: a recording through a session, then the model calls that it made, in a bare loop."""
    with TemporaryDirectory() as folder:
        recording = _write(samples, Path(folder))
        return await _replay_speed(recording, transcriber, recognizer, settings, clock, repeats)


async def _replay_speed(
    recording: Path,
    transcriber: Transcriber | None,
    recognizer: Recognizer,
    settings: Settings,
    clock: Clock,
    repeats: int,
) -> ReplaySpeed:
    replays: list[float] = []
    bares: list[float] = []
    utterances = batches = 0
    seconds = 0.0
    for _ in range(repeats):
        calls: list[tuple[Callable[..., Any], tuple[Any, ...]]] = []
        engine = Engine(
            None if transcriber is None else _CallRecorder(transcriber, calls),
            _CallRecorder(recognizer, calls),
            clock,
        )
        session = Session(
            FileSource(recording),
            make_vad(settings.vad),
            engine,
            EventLog("bench"),
            [],
            SessionSettings(settings.segmenter),
            clock,
        )
        async with engine.running():
            began = clock.now()
            totals = await session.run()
            replays.append(clock.now() - began)
        began = clock.now()
        for call, arguments in calls:
            call(*arguments)
        bares.append(clock.now() - began)
        batches, utterances, seconds = len(calls), totals.utterances, totals.audio_ms / 1_000
    replay, bare = (seconds / statistics.median(times) for times in (replays, bares))
    return ReplaySpeed(replay, bare, utterances, batches)


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
