"""How busy a cluster's replicas are, as far as one server sees it: from the answers that it gets."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from emostream.streamer.clock import Clock

from .messages import Answer

_OLD_S: Final = 10.0
"""What a replica said so long ago is no word on the present."""


@dataclass(frozen=True, slots=True)
class _Said:
    load: float
    trouble: tuple[str, ...]
    at: float


class LoadTracker:
    """replicas: how many there are; more than have answered of late, where few are asked."""

    def __init__(self, clock: Clock) -> None:
        self.replicas = 1
        self._clock = clock
        self._said: dict[str, _Said] = {}
        self._since = clock.now()
        self._busy_s = 0.0
        self._ours_s: defaultdict[str, float] = defaultdict(float)

    def note(self, answer: Answer) -> None:
        """Of a replica."""
        self._go_on()
        self._said[answer.replica] = _Said(answer.load, answer.trouble, self._clock.now())

    def spend(self, seconds: Mapping[str, float]) -> None:
        """Of each model's time, for this server."""
        for model, compute_s in seconds.items():
            self._ours_s[model] += compute_s / max(1, self.replicas)

    def trouble(self) -> tuple[str, ...]:
        """Of the replicas that have answered of late."""
        return tuple(f"{name}: {what}" for name, said in self._fresh().items() for what in said.trouble)

    def busy_s(self) -> float:
        """Seconds for which the busiest model of the replicas has worked so far, on average over them."""
        self._go_on()
        return self._busy_s

    def ours_s(self, model: str) -> float:
        """What this server's utterances took of a model's time, by the same measure."""
        return self._ours_s[model]

    def _go_on(self) -> None:
        """Their load has been what they said last."""
        now, fresh = self._clock.now(), self._fresh()
        if fresh:
            mean = sum(said.load for said in fresh.values()) / len(fresh)
            self._busy_s += (now - self._since) * mean
        self._since = now

    def _fresh(self) -> dict[str, _Said]:
        now = self._clock.now()
        self._said = {name: said for name, said in self._said.items() if now - said.at < _OLD_S}
        return self._said
