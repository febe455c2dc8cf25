"""One process with the models, in simulated time: a worker a model, the calls of an analysis one by one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from simpy import Environment

from benchmarks.queueing import Cost, Line, SimulatedRequest, Steps, Worker
from emostream.streamer.inference.request import Priority

BUDGET_S: Final = 64.0
"""`engine`'s, of the emotion model."""


@dataclass(frozen=True, slots=True)
class Models:
    """What the calls cost. encode, fuse: one thread's. words: of a transcriber, clip by clip; None where
    nobody transcribes. ahead: its work for what is spoken meanwhile, in steps of 100 ms; what it cannot do
    in time is not added to the words.
    """

    encode: Cost
    fuse: Cost
    words: Cost | None = None
    ahead: Cost | None = None


class Replica:
    """found_lost: it is known to have died. ongoing: analyses that somebody waits for here."""

    def __init__(self, env: Environment, models: Models, hop_s: float, rng: np.random.Generator) -> None:
        self.ongoing = 0
        self.found_lost = env.event()
        self._env = env
        self._hop_s = hop_s
        self._fuse, self._encode = Line(models.fuse, BUDGET_S), Line(models.encode, BUDGET_S)
        self._words = None if models.words is None else Line(models.words, 0.0)
        self._ahead = None if models.ahead is None else Line(models.ahead, 0.0)
        self._emotion = Worker(env, (self._fuse, self._encode), rng)
        hearing = [line for line in (self._words, self._ahead) if line is not None]
        self._asr = Worker(env, hearing, rng) if hearing else None

    @property
    def workers(self) -> list[Worker]:
        return [self._emotion] if self._asr is None else [self._emotion, self._asr]

    @property
    def shed(self) -> int:
        lines = [line for line in (self._encode, self._fuse, self._words) if line is not None]
        return sum(line.shed[Priority.CANDIDATE] for line in lines)

    def answer(self, ask: SimulatedRequest) -> Steps:
        """`Engine.analyse`. Whether there is a judgement."""
        yield self._env.timeout(self._hop_s / 2)
        calls = [self._emotion.submit(self._encode, ask)]
        if self._asr is not None and self._words is not None and ask.words:
            calls.append(self._asr.submit(self._words, ask))
        for call in calls:
            if not (yield call):
                ask.cancel()
                return False
        if not (yield self._emotion.submit(self._fuse, ask)):
            return False
        yield self._env.timeout(self._hop_s / 2)
        return True

    def transcribe_ahead(self, ask: SimulatedRequest) -> None:
        if self._asr is not None and self._ahead is not None:
            self._asr.submit(self._ahead, ask)

    def die(self) -> None:
        for worker in self.workers:
            worker.die()
