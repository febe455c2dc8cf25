"""From texts and their arrival to the delay behind each utterance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from benchmarks.peers.clients import FinalText

_TOLERANCE_S: Final = 0.4
"""A server's word times, and where it sees speech end, differ by as much."""


@dataclass(frozen=True, slots=True)
class Delays:
    """seconds: from the end of an utterance's speech to its final text, of those that had one. late: how many
    of these came after the next utterance had ended. none: utterances without a final.
    """

    seconds: tuple[float, ...]
    late: int = 0
    none: int = 0

    @property
    def utterances(self) -> int:
        return len(self.seconds) + self.none

    def percentile_ms(self, share: float) -> float | None:
        return 1_000 * float(np.percentile(self.seconds, share)) if self.seconds else None


def delays(spans_s: Sequence[tuple[float, float]], finals: Sequence[FinalText]) -> Delays:
    """spans_s: first and last second of each utterance. finals: in the order of their arrival."""
    found: list[float] = []
    late = 0
    for number, (start, end) in enumerate(spans_s):
        next_end = spans_s[number + 1][1] if number + 1 < len(spans_s) else float("inf")
        reaching = max(start + 0.1, end - _TOLERANCE_S)
        arrived = next((one.at_s for one in finals if one.until_s >= reaching and one.at_s > start), None)
        if arrived is not None:
            found.append(arrived - end)
            late += arrived >= next_end
    return Delays(tuple(found), late, len(spans_s) - len(found))


def together(all_delays: Sequence[Delays]) -> Delays:
    """Of several streams."""
    seconds = tuple(second for one in all_delays for second in one.seconds)
    return Delays(seconds, sum(one.late for one in all_delays), sum(one.none for one in all_delays))
