"""When which part of a stream arrived."""

from __future__ import annotations

from collections import deque
from typing import Final

_CAPACITY: Final = 2_048  # blocks of a frame at least: more than the longest utterance and its pause


class ArrivalTimes:
    """The moments, in seconds, at which the last blocks of a stream arrived."""

    def __init__(self) -> None:
        self._arrivals: deque[tuple[int, float]] = deque(maxlen=_CAPACITY)

    def add(self, end: int, moment: float) -> None:
        """The samples before `end` have arrived."""
        self._arrivals.append((end, moment))

    def of(self, position: int, now: float) -> float:
        """The moment at which the sample before `position` had arrived; `now` where it has not."""
        moment = now
        for end, arrived in reversed(self._arrivals):  # the end of an utterance is not long ago
            if end < position:
                break
            moment = arrived
        return moment
