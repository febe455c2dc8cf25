"""A replica of the models in simulated time: a worker per model, the calls of a request in sequence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from simpy import Environment

from benchmarks.queueing import CallQueue, Cost, SimulatedRequest, Steps, Worker
from emostream.streamer.inference.request import Priority

BUDGET_S: Final = 64.0
"""Batch budget of the emotion model, as in `streamer.inference.engine`."""


@dataclass(frozen=True, slots=True)
class Models:
    """What the models' calls cost.

    encode, fuse: of the emotion model's worker. words: of a transcriber, clip by clip; None for audio only.
    ahead: of incremental transcription during speech, in steps of 100 ms; what it does not finish in time is
    not added to `words`.
    """

    encode: Cost
    fuse: Cost
    words: Cost | None = None
    ahead: Cost | None = None


class Replica:
    """found_lost: triggered when its death is detected. ongoing: requests that it has not answered."""

    def __init__(self, env: Environment, models: Models, hop_s: float, rng: np.random.Generator) -> None:
        self.ongoing = 0
        self.found_lost = env.event()
        self._env = env
        self._hop_s = hop_s
        self._fuse, self._encode = CallQueue(models.fuse, BUDGET_S), CallQueue(models.encode, BUDGET_S)
        self._words = None if models.words is None else CallQueue(models.words, 0.0)
        self._ahead = None if models.ahead is None else CallQueue(models.ahead, 0.0)
        self._emotion = Worker(env, (self._fuse, self._encode), rng)
        asr_queues = [line for line in (self._words, self._ahead) if line is not None]
        self._asr = Worker(env, asr_queues, rng) if asr_queues else None

    @property
    def workers(self) -> list[Worker]:
        return [self._emotion] if self._asr is None else [self._emotion, self._asr]

    @property
    def shed(self) -> int:
        lines = [line for line in (self._encode, self._fuse, self._words) if line is not None]
        return sum(line.shed[Priority.CANDIDATE] for line in lines)

    def answer(self, request: SimulatedRequest) -> Steps:
        """As `Engine.analyse`: yields until the request is answered; returns whether it was."""
        yield self._env.timeout(self._hop_s / 2)
        calls = [self._emotion.submit(self._encode, request)]
        if self._asr is not None and self._words is not None and request.words:
            calls.append(self._asr.submit(self._words, request))
        for call in calls:
            if not (yield call):
                request.cancel()
                return False
        if not (yield self._emotion.submit(self._fuse, request)):
            return False
        yield self._env.timeout(self._hop_s / 2)
        return True

    def transcribe_ahead(self, request: SimulatedRequest) -> None:
        if self._asr is not None and self._ahead is not None:
            self._asr.submit(self._ahead, request)

    def kill(self) -> None:
        for worker in self.workers:
            worker.kill()
