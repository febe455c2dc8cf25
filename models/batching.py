"""Length-sorted batches under a budget of padded seconds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

T = TypeVar("T")

MIN_COUNTED_S: Final = 0.5
"""The least that an item counts: a very short clip, or text without audio, still costs a forward pass."""


def length_sorted_batches(seconds: Sequence[float], budget_s: float) -> list[list[int]]:
    """Indices in batches of similar length, the longest first, each within a budget of padded seconds.

    The cost of a batch is its longest clip, or half a second, times its number of clips: what the network
    computes, padding included. A clip longer than the budget is a batch of its own.
    """
    batches: list[list[int]] = []
    longest = 0.0
    for index in sorted(range(len(seconds)), key=lambda index: -seconds[index]):
        if not batches or longest * (len(batches[-1]) + 1) > budget_s:
            batches.append([])
            longest = max(seconds[index], MIN_COUNTED_S)
        batches[-1].append(index)
    return batches


def map_in_batches(
    seconds: Sequence[float], budget_s: float, call: Callable[[list[int]], Sequence[T]]
) -> list[T]:
    """Call `call` on every batch of indices and return the results in the order of `seconds`."""
    results: dict[int, T] = {}
    for batch in length_sorted_batches(seconds, budget_s):
        results.update(zip(batch, call(batch), strict=True))
    return [results[index] for index in range(len(seconds))]
