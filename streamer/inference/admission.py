"""Who may still come in: measured, not configured.

A server that lets everybody in serves nobody: past what the models carry, every final is later than the one
before it. So the share of time that the busiest model works is watched, what one stream costs is learned
from those that are inside, and whoever would push it over the limit is told to come back later.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from ..clock import Clock
from ..errors import OverloadedError

WINDOW_S: Final = 10.0


class AdmissionController:
    """busy: for each model, the seconds for which it has worked so far. limit: of their share of time.

    What the limit leaves is for utterances that end at the same moment: of random arrivals at 0.7, 0.8 wait
    on average (M/D/1).

    Whoever came less than a window ago is taken to cost as much as those before, or what `expect` was told.

    ours: of these seconds, those for the streams of this house; None where no other shares the models.
    copies: of the models, at present, over which the load is spread.
    """

    def __init__(
        self,
        busy: Sequence[Callable[[], float]],
        clock: Clock,
        limit: float,
        *,
        ours: Sequence[Callable[[], float]] | None = None,
        copies: Callable[[], int] = lambda: 1,
    ) -> None:
        self._copies = copies
        self._busy = busy
        self._ours = busy if ours is None else ours
        self._shared = ours is not None
        self._clock = clock
        self._limit = limit
        self._expected = 0.0
        self._seen: deque[tuple[float, list[float], list[float]]] = deque()
        self._newcomers: deque[float] = deque()
        self.watch()

    def expect(self, share: float) -> None:
        """What one stream is likely to cost in one copy of the models, measured before there was one."""
        self._expected = share

    def watch(self) -> None:
        """To be called every second or so."""
        now = self._clock.now()
        self._seen.append((now, [busy() for busy in self._busy], [ours() for ours in self._ours]))
        while self._seen[0][0] < now - WINDOW_S and len(self._seen) > 2:
            self._seen.popleft()

    @property
    def load(self) -> float:
        """The busiest model's share of time in the last window, 0 to 1."""
        return self._share(self._busy, self._seen[0][1])

    def _share(self, seconds: Sequence[Callable[[], float]], before: Sequence[float]) -> float:
        then, now = self._seen[0][0], self._clock.now()
        if now <= then:
            return 0.0
        return max((busy() - was) / (now - then) for busy, was in zip(seconds, before, strict=True))

    def withdraw(self) -> None:
        """Who was let in last did not come in after all."""
        self._newcomers.pop()

    def admit(self, inside: int) -> None:
        """inside: how many streams there are. The first is always let in, unless other houses have filled
        the models that they share with this one. Raises OverloadedError.
        """
        now = self._clock.now()
        while self._newcomers and self._newcomers[0] < now - WINDOW_S:
            self._newcomers.popleft()
        new = min(len(self._newcomers), inside)
        load, ours = self.load, self._share(self._ours, self._seen[0][2])
        # Newcomers have been here for half a window on average: so much of them is in the load.
        cost = max(self._expected / self._copies(), ours / (inside - new / 2) if inside else 0.0)
        wanted = max(load, load - ours + cost * inside) + cost
        full = self._shared and load >= self._limit
        if (inside or full) and wanted > self._limit:
            raise OverloadedError(
                f"expected room for one more stream, got {inside} that leave the models too little time "
                f"({100 * wanted:.0f} % of it with this one, {100 * self._limit:.0f} % at most); "
                f"try again in {(OverloadedError.retry_after_ms or 0) / 1_000:g} s, or another server"
            )
        self._newcomers.append(now)
