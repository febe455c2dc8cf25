"""Which loads are tried, where a machine holds so many and no more."""

from __future__ import annotations

import pytest

from benchmarks.suite.load_search import ladder, loads_to_try

LOADS = ladder(12, 16)


def tried(capacity: int, likely: int) -> list[int]:
    found: list[int] = []
    for load in loads_to_try(LOADS, likely, lambda: found[-1] <= capacity):
        found.append(load)
    return found


def test_the_loads_are_one_stream_shares_of_the_target_and_the_aim_with_a_quarter_more() -> None:
    assert LOADS == [1, 3, 4, 6, 9, 12, 16, 20]
    assert ladder(48, 64) == [1, 6, 12, 18, 24, 36, 48, 64, 80]
    assert ladder(2, 2) == [1, 2]


@pytest.mark.parametrize(
    ("capacity", "likely", "loads"),
    [
        (12, 12, [1, 12, 16]),  # as it was last time
        (6, 7, [1, 6, 9]),  # what was measured then is no load of now
        (16, 12, [1, 12, 16, 20]),
        (9, 12, [1, 12, 9]),
        (30, 12, [1, 12, 16, 20]),
        (4, 12, [1, 12, 9, 4, 6]),
        (20, 1, [1, 3, 4, 12, 16, 20]),
        (1, 0, [1, 3]),
        (0, 0, [1, 3]),
        (12, 99, [1, 20, 16, 6, 9, 12]),
    ],
)
def test_the_search_begins_where_it_ended_last(capacity: int, likely: int, loads: list[int]) -> None:
    assert tried(capacity, likely) == loads


@pytest.mark.parametrize("capacity", range(22))
def test_the_highest_that_is_held_and_the_next_one_are_known_at_the_end(capacity: int) -> None:
    for likely in range(22):
        found = tried(capacity, likely)
        highest = max((load for load in LOADS if load <= capacity), default=0)
        assert highest == max((load for load in found if load <= capacity), default=0)
        if highest < LOADS[-1]:
            assert min(load for load in LOADS[1:] if load > capacity) in found
        assert len(found) == len(set(found)) <= 6
