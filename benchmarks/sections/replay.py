"""Replay at full speed, against the model calls that it made in a bare loop."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Final

from benchmarks.suite.parts import Failure, Figure, Part, Progress, Setup, table
from benchmarks.suite.speech import described, speech_clips
from emostream.models.checkpoint_files import BUNDLED
from emostream.models.errors import TranscriberError
from emostream.streamer.bench.throughput import BenchmarkedModels, ReplayBenchmark
from emostream.streamer.bench.workload import make_workload
from emostream.streamer.clock import WallClock
from emostream.streamer.config import SAMPLE_RATE_HZ, ModelSettings, Settings
from emostream.streamer.inference.load_models import load_engine, load_speech_check

SECONDS: Final = 120.0
RECORDINGS: Final = 12
REPEATS: Final = {"no words": 7, "tiny.en": 3, "base": 3}
_MODELS: Final = {
    "no words": ModelSettings(asr="none", checkpoint=str(BUNDLED)),
    "tiny.en": ModelSettings(asr="tiny.en"),
    "base": ModelSettings(asr="base"),
}


def measure(setup: Setup) -> Iterator[Part]:
    clips, seconds = speech_clips(setup.speech), 6.0 if setup.smoke else SECONDS
    count = 2 if setup.smoke else RECORDINGS
    loads = [make_workload(clips, seconds / count, stream=number).samples for number in range(count)]
    sound_s = sum(map(len, loads)) / SAMPLE_RATE_HZ
    yield (
        f"{sound_s:.0f} s of sound in {count} recordings: {described(setup.speech, clips)}. In turn: the "
        "recordings as `emostream replay` analyses them, and the calls of the models that they made, the "
        "same batches on as many threads with nothing to wait for.\n\n"
    )
    rows = []
    for name, models in _MODELS.items():
        if setup.smoke and name == "base":
            continue  # as tiny.en, only slower
        repeats = 1 if setup.smoke else REPEATS[name]
        yield Progress(f"{name}, {repeats} times")
        settings = Settings(models=models)
        try:
            engine = load_engine(settings, WallClock())
        except TranscriberError as error:
            yield Failure(f"{name}: {error}")
            continue
        alone = BenchmarkedModels(engine.transcriber, engine.recognizer, load_speech_check(models))
        speed = asyncio.run(ReplayBenchmark(alone, settings, WallClock(), repeats).run(loads))
        rows.append(
            [
                name,
                str(repeats),
                f"{speed.replay:.1f} x",
                f"{speed.bare:.1f} x",
                f"{speed.share:.2f}",
                f"{speed.utterances} in {speed.batches} calls",
            ]
        )
        if f"replay, {name}" in ("replay, no words", "replay, base"):
            yield Figure(f"replay, {name}", speed.share)
    yield table(("transcriber", "runs", "replay", "bare models", "ratio", "utterances"), rows)
