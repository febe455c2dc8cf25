"""Memory over hours: which moments are compared, and what a stream that ended early is compared with."""

from __future__ import annotations

import pytest

from benchmarks.endurance import Endurance, Seen
from emostream.streamer.protocol import messages


def endurance(*memory: tuple[float, float]) -> Endurance:
    """Of (hours, MiB)."""
    totals = messages.Totals(audio_ms=round(3_600_000 * memory[-1][0]), utterances=7, dropped_ms=0)
    return Endurance([Seen(*one) for one in memory], totals, took_s=60.0)


LONG = endurance((0.1, 90.0), (0.17, 100.0), (0.4, 103.0), (0.55, 104.0), (1.1, 104.0), (3.0, 106.08))


def test_the_end_is_compared_with_ten_minutes_and_with_half_an_hour() -> None:
    assert LONG.growth() == pytest.approx(6.08)
    assert LONG.growth(0.5) == pytest.approx(2.0)


def test_a_stream_of_minutes_is_compared_with_its_middle() -> None:
    short = endurance((0.01, 50.0), (0.03, 80.0), (0.05, 88.0))
    assert short.growth() == pytest.approx(10.0)
    text = short.text("a folder")
    assert "half an hour" not in text
    assert (
        "against 2 minutes |\n| --- | --- | --- |\n| 0.03 | 80.0 | +0.0 % |\n| 0.05 | 88.0 | +10.0 % |"
        in text
    )


def test_the_text_has_the_speed_and_the_moments_that_were_reached() -> None:
    text = LONG.text("a folder")
    assert "3 hours of sound in 60 s (180 x real time): a folder, repeated. 7 utterances" in text
    assert "From half an hour on: +2.0 %." in text
    rows = [line for line in text.splitlines() if line.startswith("| ") and "%" in line]
    assert rows == [
        "| 0.17 | 100.0 | +0.0 % |",
        "| 0.55 | 104.0 | +4.0 % |",
        "| 1.10 | 104.0 | +4.0 % |",
        "| 3.00 | 106.1 | +6.1 % |",
    ]
