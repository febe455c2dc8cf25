"""Many clips, few forwards: which clips go together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

T = TypeVar("T")

_LEAST_S: Final = 0.5
"""What a clip counts at least, however short it is, or where there are words alone: those cost too."""


def length_sorted_batches(seconds: Sequence[float], budget_s: float) -> list[list[int]]:
    """Indices in batches of like length, the longest first, each within a budget of padded seconds.

    The cost of a batch is its longest clip, or half a second, times its clips: what the network computes,
    padding included. A clip longer than the budget is a batch of its own.
    """
    batches: list[list[int]] = []
    longest = 0.0
    for index in sorted(range(len(seconds)), key=lambda index: -seconds[index]):
        if not batches or longest * (len(batches[-1]) + 1) > budget_s:
            batches.append([])
            longest = max(seconds[index], _LEAST_S)
        batches[-1].append(index)
    return batches


def map_in_batches(
    seconds: Sequence[float], budget_s: float, call: Callable[[list[int]], Sequence[T]]
) -> list[T]:
    """What `call` makes of every batch of indices, in the order of `seconds`."""
    results: dict[int, T] = {}
    for batch in length_sorted_batches(seconds, budget_s):
        results.update(zip(batch, call(batch), strict=True))
    return [results[index] for index in range(len(seconds))]
