"""Load of a cluster's replicas as seen by one server, from the replies that it receives."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from emostream.streamer.clock import Clock

from .messages import ReplicaReply

_MAX_AGE_S: Final = 10.0
"""Reports older than this are ignored."""


@dataclass(frozen=True, slots=True)
class _Report:
    load: float
    problems: tuple[str, ...]
    received_at: float


class LoadTracker:
    """Averages the load reports of the replicas.

    replicas: how many there are; more than have sent reports of late where there are few calls.
    """

    def __init__(self, clock: Clock) -> None:
        self.replicas = 1
        self._clock = clock
        self._reports: dict[str, _Report] = {}
        self._updated_at = clock.now()
        self._busy_s = 0.0
        self._own_s: defaultdict[str, float] = defaultdict(float)

    def update(self, reply: ReplicaReply) -> None:
        """Take the load report in a replica's reply."""
        self._integrate()
        self._reports[reply.replica] = _Report(reply.load, reply.problems, self._clock.now())

    def record_compute(self, seconds: Mapping[str, float]) -> None:
        """Add compute time, by model, that replicas spent for this server."""
        for model, compute_s in seconds.items():
            self._own_s[model] += compute_s / max(1, self.replicas)

    def problems(self) -> tuple[str, ...]:
        """Health problems in the recent reports, for people."""
        return tuple(
            f"{name}: {problem}" for name, report in self._recent().items() for problem in report.problems
        )

    def busy_s(self) -> float:
        """Busy seconds of each replica's busiest model so far, averaged over the replicas."""
        self._integrate()
        return self._busy_s

    def own_busy_s(self, model: str) -> float:
        """The part of a model's busy seconds that this server's utterances took, by the same measure."""
        return self._own_s[model]

    def _integrate(self) -> None:
        """Integrate the load up to now, assuming that it has been as last reported."""
        now, recent = self._clock.now(), self._recent()
        if recent:
            mean = sum(report.load for report in recent.values()) / len(recent)
            self._busy_s += (now - self._updated_at) * mean
        self._updated_at = now

    def _recent(self) -> dict[str, _Report]:
        now = self._clock.now()
        self._reports = {
            name: report for name, report in self._reports.items() if now - report.received_at < _MAX_AGE_S
        }
        return self._reports
