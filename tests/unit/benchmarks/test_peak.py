"""How often a call is timed, by a clock that the calls move."""

from __future__ import annotations

import pytest
import torch

from benchmarks import peak

CPU = torch.device("cpu")


class Calls:
    """Each takes as long as its turn in `seconds`, the last of them ever after."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *seconds: float) -> None:
        self.count = 0
        self._seconds = seconds
        self._now = 0.0
        monkeypatch.setattr("benchmarks.peak.time.perf_counter", lambda: self._now)

    def __call__(self) -> None:
        self._now += self._seconds[min(self.count, len(self._seconds) - 1)]
        self.count += 1


def test_short_calls_are_timed_as_often_as_asked_after_two_warm_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = Calls(monkeypatch, 9.0, 3.0, 0.1, 0.3, 0.2)
    assert peak.median_seconds(calls, CPU, 5) == pytest.approx(0.2)
    assert calls.count == 7


@pytest.mark.parametrize(("seconds", "count"), [(100.0, 5), (2.5, 6), (0.5, 17)])
def test_long_calls_are_timed_three_times_at_least(
    seconds: float, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = Calls(monkeypatch, seconds)
    assert peak.median_seconds(calls, CPU, 15) == pytest.approx(seconds)
    assert calls.count == count


def test_fewer_than_three_are_timed_where_fewer_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = Calls(monkeypatch, 100.0)
    peak.median_seconds(calls, CPU, 1)
    assert calls.count == 3
