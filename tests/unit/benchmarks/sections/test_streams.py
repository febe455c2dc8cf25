"""Which loads of streams are held, and what the target's row says of them."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.sections.streams import Load, bounds, counts, most_held
from benchmarks.suite.parts import Setup


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


def test_the_row_says_what_was_tried_above_it() -> None:
    late = {"refused": ["overloaded"]}
    assert bounds([load(1), load(16), load(20, **late), load(24, **late)]) == "20 not"
    assert bounds([load(1), load(16)]) == "no more tried"
    assert bounds([load(1, **late), load(3, **late)]) == "1 not"


class Machine:
    """Holds so many streams; a load takes 35 s of its clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capacity: int) -> None:
        self.loads: list[Load] = []
        self._capacity = capacity
        self._now = 0.0
        monkeypatch.setattr("benchmarks.sections.streams.time.monotonic", lambda: self._now)

    def tried(self, before: dict[str, float], seconds: float) -> list[int]:
        setup = Setup(None, False, "stamp", before)
        for count in counts(setup, "streams, base", self.loads, self._now + seconds):
            late = {"refused": ["overloaded"]} if count > self._capacity else {}
            self.loads.append(load(count, **late))
            self._now += 35.0
        return [one.streams for one in self.loads]


@pytest.mark.parametrize(
    ("before", "seconds", "tried"),
    [
        ({}, 900.0, [1, 12, 9, 4, 6]),  # from what has to be reached
        ({"streams, base": 6.0}, 900.0, [1, 6, 9]),
        ({"streams, base": 6.0}, 150.0, [1, 6, 9]),
        ({}, 150.0, [1, 12, 9, 4]),
        ({}, 10.0, [1]),
    ],
)
def test_loads_are_tried_while_there_is_time(
    before: dict[str, float], seconds: float, tried: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Machine(monkeypatch, 6).tried(before, seconds) == tried
