"""The context of one analysis, shared by all its model calls: its priority and its compute time."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import IntEnum

from .pending import PendingLanguage


class Priority(IntEnum):
    """The lowest value is served first. Candidates and interim results may be shed, the others never are.

    RECORDING: an utterance of an uploaded recording, for which no one waits who speaks.
    """

    FINAL = 0
    CANDIDATE = 1
    INTERIM = 2
    RECORDING = 3

    @property
    def sheddable(self) -> bool:
        return self in (Priority.CANDIDATE, Priority.INTERIM)

    @property
    def deferrable(self) -> bool:
        """Whether it leaves the last free thread of a model to the others: a call cannot be interrupted."""
        return self in (Priority.INTERIM, Priority.RECORDING)


@dataclass(slots=True)
class ComputeTime:
    """Seconds of work of all models: in total, and for analyses that were discarded. interim_words: for words
    while somebody speaks, by worker name. recordings: for uploaded recordings, by worker name.
    """

    compute_s: float = 0.0
    wasted_compute_s: float = 0.0
    interim_words: dict[str, float] = field(default_factory=dict)
    recordings: dict[str, float] = field(default_factory=dict)

    def interim_words_s(self) -> float:
        return sum(self.interim_words.values())

    def recordings_s(self) -> float:
        return sum(self.recordings.values())

    def deferrable_s(self, model: str) -> float:
        """What the worker has done that gives way to finals: it makes no stream dearer."""
        return self.interim_words.get(model, 0.0) + self.recordings.get(model, 0.0)


@dataclass(slots=True, eq=False)
class RequestContext:
    """priority: may rise while the analysis waits. requested_at: in seconds of the backend's clock. stream:
    the stream that it belongs to; no batch holds two of one stream. running_calls: calls that a model is
    computing; a call that has begun cannot be cancelled. compute_s: its share of the models' time so far;
    compute_by_model: by worker name, its share of the time of all threads of a worker. interim_words: whether
    it is for words while somebody speaks, which have a budget of their own, see `interim_budget`.

    language: of the stream so far, for a clip whose own cannot be told; None: it is not asked for.

    final_after_s: of a candidate, the time after `requested_at` when its pause has lasted long enough, and
    it is a final.
    """

    priority: Priority = Priority.FINAL
    total: ComputeTime = field(default_factory=ComputeTime)
    requested_at: float = 0.0
    stream: object = None
    running_calls: int = 0
    compute_s: float = 0.0
    compute_by_model: dict[str, float] = field(default_factory=dict)
    final_after_s: float = math.inf
    interim_words: bool = False
    language: PendingLanguage | None = None
    _discarded: bool = False

    def record_compute(self, seconds: float, model: str, threads: int = 1) -> None:
        """seconds: of one of the threads of the worker `model`."""
        self.compute_s += seconds
        self.compute_by_model[model] = self.compute_by_model.get(model, 0.0) + seconds / threads
        self.total.compute_s += seconds
        if self.interim_words:
            self.total.interim_words[model] = self.total.interim_words.get(model, 0.0) + seconds
        if self.priority is Priority.RECORDING:
            self.total.recordings[model] = self.total.recordings.get(model, 0.0) + seconds
        if self._discarded:
            self.total.wasted_compute_s += seconds

    def discard(self) -> None:
        """Count its compute time as wasted, that of calls that are still running included."""
        if not self._discarded:
            self._discarded = True
            self.total.wasted_compute_s += self.compute_s


class RequestShedError(Exception):
    """The models have no time for a request that is not a final. Never sent to a client."""
