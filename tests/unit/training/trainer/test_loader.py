"""Batches made ahead: in order, no more than allowed, errors in place of results."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from emostream.training.trainer.loader import made_ahead


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_results_come_in_order(workers: int) -> None:
    assert list(made_ahead(lambda item: item * item, range(20), workers)) == [n * n for n in range(20)]


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_no_more_are_made_than_may_wait(workers: int) -> None:
    """While the caller holds a result, `workers` others have been asked for, and the rest not."""
    asked: list[int] = []

    def items() -> Iterator[int]:
        for number in range(20):
            asked.append(number)
            yield number

    made = made_ahead(lambda item: item, items(), workers)
    for number in range(10):
        assert next(made) == number
        assert len(asked) == number + 1 + workers
    made.close()


def test_an_error_is_raised_where_its_result_was_due() -> None:
    def make(item: int) -> int:
        if item == 2:
            raise ValueError("the third")
        return item

    made = made_ahead(make, range(5), 2)
    assert [next(made), next(made)] == [0, 1]
    with pytest.raises(ValueError, match="the third"):
        next(made)


def test_two_threads_make_at_once() -> None:
    both = threading.Barrier(2)
    assert list(made_ahead(lambda item: both.wait(timeout=30) * 0 + item, range(4), 2)) == [0, 1, 2, 3]


def test_closing_ends_the_threads() -> None:
    made = made_ahead(lambda item: item, range(1_000), 2)
    next(made)
    made.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("batches")]
