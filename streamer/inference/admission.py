"""Admission control by measured load: whether one more stream may be served.

A server that accepts every stream serves none well: past what the models can compute, every final is later
than the one before it. So the share of time that the busiest model works is measured, the cost of one stream
is estimated from the active ones, and a stream that would push the load over the limit is rejected with
`overloaded`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from ..clock import Clock
from ..errors import OverloadedError
from .capacity import Capacity

WINDOW_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class _Sample:
    """Seconds of work at a moment: of each model, and the part of it for this server's streams."""

    at: float
    busy_s: list[float]
    own_s: list[float]


class AdmissionController:
    """limit: of the share of time that the busiest model works.

    What the limit leaves is for utterances that end at the same moment: of random arrivals at 0.7, 0.8 wait
    on average (M/D/1).

    A stream that was admitted less than a window ago is taken to cost as much as those before it, or what
    `expect` was given.
    """

    def __init__(self, capacity: Capacity, clock: Clock, limit: float) -> None:
        self._capacity = capacity
        self._shared = capacity.own_busy_seconds is not None
        self._own_busy_seconds = (
            capacity.busy_seconds if capacity.own_busy_seconds is None else capacity.own_busy_seconds
        )
        self._clock = clock
        self._limit = limit
        self._expected = 0.0
        self._warming_up = False
        self._samples: deque[_Sample] = deque()
        self._admitted: deque[tuple[float, int]] = deque()  # of the last window: when, how many channels
        self.sample()

    def expect(self, share: float) -> None:
        """What one stream is likely to cost in one copy of the models, measured before there was one."""
        self._expected = share

    def begin_warm_up(self) -> None:
        """Until `end_warm_up` the models work on what no stream has caused, and nothing of it counts."""
        self._warming_up = True

    def end_warm_up(self) -> None:
        self._warming_up = False
        self._samples.clear()
        self.sample()

    def sample(self) -> None:
        """To be called every second or so."""
        now = self._clock.now()
        busy = [seconds() for seconds in self._capacity.busy_seconds]
        self._samples.append(_Sample(now, busy, [seconds() for seconds in self._own_busy_seconds]))
        while self._samples[0].at < now - WINDOW_S and len(self._samples) > 2:
            self._samples.popleft()

    @property
    def load(self) -> float:
        """The busiest model's share of time in the last window, 0 to 1."""
        return self._share(self._capacity.busy_seconds, self._samples[0].busy_s)

    def _share(self, seconds: Sequence[Callable[[], float]], before: Sequence[float]) -> float:
        then, now = self._samples[0].at, self._clock.now()
        if now <= then or self._warming_up:
            return 0.0
        return max((busy() - was) / (now - then) for busy, was in zip(seconds, before, strict=True))

    def cancel_last(self) -> None:
        """The stream that was admitted last did not start."""
        self._admitted.pop()

    def admit(self, active: int, channels: int = 1) -> None:
        """active: how many streams there are; a stream counts once for each channel that is heard on its own.
        channels: those of the new one. The first is always admitted, unless other servers have filled
        the models that they share with this one. Raises OverloadedError.
        """
        self._capacity.ensure_available()
        now = self._clock.now()
        while self._admitted and self._admitted[0][0] < now - WINDOW_S:
            self._admitted.popleft()
        recent = min(sum(count for _, count in self._admitted), active)
        load, own = self.load, self._share(self._own_busy_seconds, self._samples[0].own_s)
        # Recent streams have run for half a window on average: so much of them is in the load.
        measured = own / (active - recent / 2) if active else 0.0
        cost = max(self._expected / self._capacity.replica_count(), measured)
        wanted = max(load, load - own + cost * active) + cost * channels
        full = self._shared and load >= self._limit
        if (active or full) and wanted > self._limit:
            stream = "one more stream" if channels == 1 else f"a stream of {channels} channels"
            raise OverloadedError(
                f"expected capacity for {stream}, got {active} that leave the models too little time "
                f"({100 * wanted:.0f} % of it with this one, {100 * self._limit:.0f} % at most); "
                f"try again in {(OverloadedError.retry_after_ms or 0) / 1_000:g} s, or another server"
            )
        self._admitted.append((now, channels))
