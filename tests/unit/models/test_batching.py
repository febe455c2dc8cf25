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


def test_clips_of_similar_length_share_a_batch() -> None:
    assert length_sorted_batches([1.0, 8.0, 1.0, 7.0, 2.0], 16.0) == [[1, 3], [4, 0, 2]]


def test_clips_without_audio_count_towards_the_budget() -> None:
    """Text without audio has a length of zero and still costs a forward pass."""
    assert [len(batch) for batch in length_sorted_batches([0.0] * 10, 2.0)] == [4, 4, 2]


@given(seconds=lengths, budget=st.floats(0.5, 100.0))
def test_every_clip_occurs_once_and_batches_keep_to_the_budget(seconds: list[float], budget: float) -> None:
    batches = length_sorted_batches(seconds, budget)
    assert sorted(index for batch in batches for index in batch) == list(range(len(seconds)))
    for batch in batches:
        assert padded(seconds, batch) <= budget or len(batch) == 1


@given(seconds=lengths, budget=st.floats(0.5, 100.0))
def test_batches_are_in_order_of_decreasing_length(seconds: list[float], budget: float) -> None:
    """A later batch has no clip longer than the shortest of the one before."""
    batches = length_sorted_batches(seconds, budget)
    for earlier, later in itertools.pairwise(batches):
        assert min(seconds[index] for index in earlier) >= max(seconds[index] for index in later)


@given(seconds=lengths)
def test_results_are_in_the_order_of_the_input(seconds: list[float]) -> None:
    assert map_in_batches(seconds, 10.0, lambda batch: [f"clip {index}" for index in batch]) == [
        f"clip {index}" for index in range(len(seconds))
    ]


def test_a_batch_with_too_few_results_is_an_error() -> None:
    with pytest.raises(ValueError, match="shorter"):
        map_in_batches([1.0, 1.0], 10.0, lambda batch: ["only one"])
