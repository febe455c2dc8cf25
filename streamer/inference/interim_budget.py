"""How much the models may work for words while somebody speaks, of all streams together.

Interim words are a convenience: they may take a share of the time that the models leave free, and no more,
so that finals do not wait for them. A token bucket in seconds of work: it fills with a share of the idle
time, and what interim words have cost is taken out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ..clock import Clock
from .capacity import Capacity

SHARE: Final = 0.25
"""Of the busiest model's idle time."""

BURST_S: Final = 1.0
"""The bucket holds so much: several calls in an utterance after silence."""

RESERVE_S: Final = BURST_S / 2
"""Kept for the gap that may be the end of the utterance: the last words are missed most."""


class InterimBudget:
    """capacity: whose work leaves no time. spent_s: seconds of all models for interim words so far.

    A call's cost is known when it ends, so only as many run at once as there are copies of the models.
    """

    def __init__(self, capacity: Callable[[], Capacity], spent_s: Callable[[], float], clock: Clock) -> None:
        self._capacity = capacity
        self._spent_s = spent_s
        self._clock = clock
        self._balance_s = BURST_S
        self._running = 0
        self._at = clock.now()
        self._busy = 0.0
        self._spent = 0.0

    def take(self, reserve_s: float = 0.0) -> bool:
        """Whether one more analysis may start now; `give_back` is due when it ends. reserve_s: what must be
        left in the bucket.
        """
        if self._running >= self._capacity().replica_count():
            return False
        self._fill()
        if self._balance_s <= reserve_s:
            return False
        self._running += 1
        return True

    def give_back(self) -> None:
        self._running -= 1

    def _fill(self) -> None:
        capacity, now, spent = self._capacity(), self._clock.now(), self._spent_s()
        busy = max((seconds() for seconds in capacity.busy_seconds), default=0.0)
        idle = max(0.0, now - self._at - max(0.0, busy - self._busy))
        earned = SHARE * idle * capacity.replica_count()
        self._balance_s = min(BURST_S, self._balance_s + earned) - (spent - self._spent)
        self._at, self._busy, self._spent = now, busy, spent
