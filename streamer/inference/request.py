"""How much an analysis is wanted: shared by all the calls that it makes of the models."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import IntEnum


class Priority(IntEnum):
    """Who goes first. A final is never refused; the other two may be."""

    FINAL = 0
    CANDIDATE = 1
    INTERIM = 2


@dataclass(slots=True)
class ComputeTime:
    """Seconds of all models' work: in all, and for analyses that came to nothing."""

    compute_s: float = 0.0
    wasted_compute_s: float = 0.0


@dataclass(slots=True, eq=False)
class RequestContext:
    """priority: may rise while the analysis waits. since: the moment it was asked. stream: whose it is; no
    batch holds two of one stream. running: calls that a model is at work on; a call that was begun cannot be
    taken back. compute_s: its share of the models' time so far; compute_by_model: of each, by its thread's
    name.

    final_after_s: of a candidate, the time behind `since` at which its pause has lasted, and it is a final.
    """

    priority: Priority = Priority.FINAL
    time: ComputeTime = field(default_factory=ComputeTime)
    since: float = 0.0
    stream: object = None
    running: int = 0
    compute_s: float = 0.0
    compute_by_model: dict[str, float] = field(default_factory=dict)
    final_after_s: float = math.inf
    _discarded: bool = False

    def spend(self, seconds: float, model: str) -> None:
        self.compute_s += seconds
        self.compute_by_model[model] = self.compute_by_model.get(model, 0.0) + seconds
        self.time.compute_s += seconds
        if self._discarded:
            self.time.wasted_compute_s += seconds

    def discard(self) -> None:
        """It came to nothing, and so does what a running call of it will have cost."""
        if not self._discarded:
            self._discarded = True
            self.time.wasted_compute_s += self.compute_s


class RequestShedError(Exception):
    """The models have no time for what is no final. Never on the wire."""
