"""Length-sorted batches under a budget of padded seconds."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emostream.models.batching import length_sorted_batches, map_in_batches

lengths = st.lists(st.floats(0.0, 30.0), max_size=40)


def padded(seconds: list[float], batch: list[int]) -> float:
    return max(seconds[index] for index in batch) * len(batch)


def test_like_goes_with_like() -> None:
    assert length_sorted_batches([1.0, 8.0, 1.0, 7.0, 2.0], 16.0) == [[1, 3], [4, 0, 2]]


def test_clips_of_no_length_fill_a_batch_too() -> None:
    """Words alone have no seconds, and a network to go through all the same."""
    assert [len(batch) for batch in length_sorted_batches([0.0] * 10, 2.0)] == [4, 4, 2]


@given(seconds=lengths, budget=st.floats(0.5, 100.0))
def test_every_clip_once_and_within_the_budget(seconds: list[float], budget: float) -> None:
    batches = length_sorted_batches(seconds, budget)
    assert sorted(index for batch in batches for index in batch) == list(range(len(seconds)))
    for batch in batches:
        assert padded(seconds, batch) <= budget or len(batch) == 1


@given(seconds=lengths, budget=st.floats(0.5, 100.0))
def test_no_clip_waits_in_a_batch_for_one_longer_than_the_next(seconds: list[float], budget: float) -> None:
    """Batches follow each other in length: a later one holds nothing longer than the shortest before."""
    batches = length_sorted_batches(seconds, budget)
    for earlier, later in itertools.pairwise(batches):
        assert min(seconds[index] for index in earlier) >= max(seconds[index] for index in later)


@given(seconds=lengths)
def test_results_come_in_the_order_of_the_question(seconds: list[float]) -> None:
    assert map_in_batches(seconds, 10.0, lambda batch: [f"clip {index}" for index in batch]) == [
        f"clip {index}" for index in range(len(seconds))
    ]


def test_a_batch_that_gives_too_little_is_an_error() -> None:
    with pytest.raises(ValueError, match="shorter"):
        map_in_batches([1.0, 1.0], 10.0, lambda batch: ["only one"])
