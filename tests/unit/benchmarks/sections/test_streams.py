"""Which numbers of streams are tried, and which of them counts."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.sections.streams import Load, counts_to_try, most_held


def tried(capacity: int) -> list[int]:
    """What is tried where `capacity` streams are held and no more."""
    found: list[int] = []
    for count in counts_to_try(12, 16, lambda: found[-1] <= capacity):
        found.append(count)
    return found


@pytest.mark.parametrize(
    ("capacity", "counts"),
    [
        (30, [16, 20]),
        (17, [16, 20]),
        (12, [16, 12]),
        (10, [16, 12, 9]),
        (8, [16, 12, 9, 6]),
        (1, [16, 12, 9, 6]),
    ],
)
def test_loads_are_tried_from_the_aim_up_or_down(capacity: int, counts: list[int]) -> None:
    assert tried(capacity) == counts


def load(streams: int, **changed: Any) -> Load:
    latency = [{"after_end": {"p50": 1.0, "p95": 99.9, "p99": 120.0}}]
    figures = {"latency": latency, "refused": [], "errors": [], "dropped_ms": 0}
    return Load(streams, figures | changed)


@pytest.mark.parametrize(
    ("changed", "held"),
    [
        ({}, True),
        ({"latency": [{"after_end": {"p50": 1.0, "p95": 100.0, "p99": 120.0}}]}, False),
        ({"latency": [{"after_end": None}]}, False),
        ({"refused": ["overloaded"]}, False),
        ({"errors": ["analysis_failed"]}, False),
        ({"dropped_ms": 20}, False),
    ],
)
def test_a_load_is_held_in_time_and_whole(changed: dict[str, Any], held: bool) -> None:
    assert load(16, **changed).in_time is held


def test_the_most_streams_that_were_held_count() -> None:
    late = {"refused": ["overloaded"]}
    assert most_held([load(1), load(16), load(20, **late)]) == 16
    assert most_held([load(1, **late)]) == 0
