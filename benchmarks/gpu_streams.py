"""How many live streams a device carries: the utterances of concurrent streams, in real time, through the
engine.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch

from benchmarks.gpu_networks import SECONDS, line_of_words, network, word_tokenizer
from emostream.models import SAMPLE_RATE_HZ, Clip, Transcript
from emostream.models.checkpoint import Checkpoint
from emostream.models.device import choose_dtype
from emostream.models.recognizer import EmotionRecognizer
from emostream.streamer.clock import Clock, WallClock
from emostream.streamer.inference.engine import Engine
from emostream.streamer.inference.request import Priority

PERIOD_S: Final = 8.0
"""Between the ends of a speaker's utterances in a conversation of two."""
LIMIT_S: Final = 0.3
"""Of the 95th percentile of an analysis: what the pause hides that the end of an utterance is waited for."""


class FixedWords:
    """A transcriber in name: a line of words for every clip, at once."""

    name = "no recognition"
    batch_size = 64

    def __init__(self) -> None:
        self._line = line_of_words(np.random.default_rng(0))

    def transcribe(self, clips: Sequence[Clip]) -> list[Transcript]:
        return [Transcript(self._line, language="en") for _ in clips]


@dataclass(frozen=True, slots=True)
class StreamLoad:
    """Streams that each end an utterance every `period_s`. analyse: one, of the stream of that number."""

    analyse: Callable[[int], Awaitable[object]]
    clock: Clock
    period_s: float = PERIOD_S

    async def p95_s(self, streams: int) -> float:
        """Of the time from the end of an utterance to its result, over one period; infinite where more than
        one in twenty has none by the time that the last one would need it.
        """
        await self.analyse(0)  # what a load before this one has left is done then
        moments = np.sort(np.random.default_rng(streams).uniform(0.0, self.period_s, streams))
        began = self.clock.now()
        running = []
        for stream, moment in enumerate(moments):
            await self.clock.sleep_until(began + moment)
            running.append(asyncio.create_task(self._timed(stream, began + moment)))
        await self.clock.sleep_until(began + self.period_s + LIMIT_S)
        took = [task.result() if task.done() else math.inf for task in running]
        late = [task for task in running if task.cancel()]
        await asyncio.gather(*late, return_exceptions=True)
        return float(np.percentile(took, 95, method="higher"))

    async def _timed(self, stream: int, ended: float) -> float:
        await self.analyse(stream)
        return self.clock.now() - ended


@dataclass(frozen=True, slots=True)
class Carried:
    """The most streams with p95 under the limit, and the fewest tried with more; 0 and None where none."""

    streams: int
    p95_s: float
    too_many: int | None
    too_many_p95_s: float

    def __str__(self) -> str:
        text = f"{self.streams} streams, p95 {1000 * self.p95_s:.0f} ms"
        if self.too_many is None:
            return f"{text}; more were not tried"
        over = (
            f"{1000 * self.too_many_p95_s:.0f} ms" if math.isfinite(self.too_many_p95_s) else "no end of it"
        )
        return f"{text}; with {self.too_many}: {over}"


async def most_streams(p95_s: Callable[[int], Awaitable[float]], first: int, most: int) -> Carried:
    """Doubles the streams from `first`, or halves them, until the limit is between two loads; then bisects
    twice.
    """
    good, good_p95, bad, bad_p95 = 0, 0.0, most + 1, math.inf
    streams, tried_bad, bisections = min(first, most), False, 0
    while good < streams < bad:
        measured = await p95_s(streams)
        if measured < LIMIT_S:
            good, good_p95 = streams, measured
        else:
            bad, bad_p95, tried_bad = streams, measured, True
        if good and tried_bad:
            bisections += 1
            if bisections > 2:
                break
            streams = (good + bad) // 2
        else:
            streams = min(2 * good, most) if good else bad // 2
    return Carried(good, good_p95, bad if tried_bad else None, bad_p95)


def streams_carried(device: str, tiny: bool) -> str:
    """Of the reference network in the precision that serving chooses."""
    place, model = torch.device(device), network(tiny)
    dtype = choose_dtype("auto", place, sum(weights.numel() for weights in model.parameters()))
    recognizer = EmotionRecognizer(Checkpoint(model.eval(), word_tokenizer(), Path("random")), place, dtype)
    samples = np.random.default_rng(0).normal(0.0, 0.1, int(SECONDS * SAMPLE_RATE_HZ)).astype(np.float32)
    clip = Clip(samples)
    recognizer.warm_up()

    async def measure() -> Carried:
        clock = WallClock()
        engine = Engine(FixedWords(), recognizer, clock)

        async def analyse(stream: int) -> None:
            await engine.analyse(clip, engine.new_request(Priority.FINAL, stream))

        async with engine.running():
            if tiny:
                return await most_streams(StreamLoad(analyse, clock, period_s=0.2).p95_s, 1, 2)
            load = StreamLoad(analyse, clock)
            return await most_streams(load.p95_s, _first_guess(recognizer, clip), 100_000)

    return f"{asyncio.run(measure())}, {dtype}".replace("torch.", "")


def _first_guess(recognizer: EmotionRecognizer, clip: Clip) -> int:
    """A quarter of what batches of 32 would carry."""
    for _ in range(2):
        began = time.perf_counter()
        recognizer.encode([clip] * 32)
        took_s = (time.perf_counter() - began) / 32
    return max(1, int(PERIOD_S / took_s / 4))
