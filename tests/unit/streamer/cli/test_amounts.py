"""Lengths and speeds as commands print them, and how far batches and benchmarks have come."""

from __future__ import annotations

import io
from dataclasses import dataclass

import pytest
from rich.console import Console

from emostream.streamer.cli.amounts import length, time_left, times_real_time
from emostream.streamer.cli.batch_progress import BatchProgress
from emostream.streamer.cli.bench import aligned
from emostream.streamer.cli.bench_progress import benchmark_progress
from tests.support.fakes import ManualClock


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0.0 s"), (9.94, "9.9 s"), (9.96, "10 s"), (119, "119 s"), (185, "3:05 min"), (7_800, "2:10 h")],
)
def test_a_length_has_a_unit_that_fits(seconds: float, shown: str) -> None:
    assert length(seconds) == shown


def test_speeds_and_what_is_left() -> None:
    assert times_real_time(14, 3) == "4.7 x real time"
    assert times_real_time(3_600, 30) == "120 x real time"
    assert times_real_time(1, 0) == "1000 x real time"
    assert time_left(20, 80, 60) == "about 3:00 min left"
    assert [time_left(done, 80, 60) for done in (0, 80, 90)] == ["", "", ""]


@dataclass(frozen=True)
class Shard:
    recordings: tuple[str, ...]
    complete: int = 1
    audio_s: float = 5.0
    utterances: int = 1
    errors: int = 0
    messages: tuple[str, ...] = ()


@pytest.mark.parametrize(
    ("count", "last"),
    [
        (0, "0 recordings, 0 utterances, 0 errors; 0.0 s of audio in 12 s (0.0 x real time)"),
        (1, "1 recording, 1 utterance, 1 error (out/errors); 5.0 s of audio in 24 s (0.2 x real time)"),
        (2, "2 recordings, 2 utterances, 2 errors (out/errors); 10 s of audio in 36 s (0.3 x real time)"),
    ],
)
def test_a_batch_says_how_far_it_is_and_what_came_of_it(count: int, last: str) -> None:
    out, clock = io.StringIO(), ManualClock()
    progress = BatchProgress(4, Console(file=out, width=200), clock)
    with progress.displayed():
        for number in range(count):
            clock.advance_to(12.0 * (number + 1))
            progress.add(Shard((f"{number}.wav",), errors=1))
        clock.advance_to(12.0 * (count + 1))
    progress.summarize("out/errors")
    lines = out.getvalue().splitlines()
    assert lines[-1] == last
    assert (
        lines[:-1]
        == [
            "1/4 5.0 s of audio in 12 s (0.4 x real time), about 36 s left",
            "2/4 10 s of audio in 24 s (0.4 x real time), about 24 s left",
        ][:count]
    )


def test_a_benchmark_says_how_far_it_is() -> None:
    out, clock = io.StringIO(), ManualClock()
    console = Console(file=out, width=200)
    with benchmark_progress(console, clock, "2/3 4 streams", 240, "s of audio") as advance:
        for second in range(1, 31):
            clock.advance_to(second)
            for _ in range(4):
                advance(1)
    assert out.getvalue().splitlines() == [
        "2/3 4 streams: 240 s of audio",
        "2/3 4 streams: 37/240 s of audio, about 55 s left",
        "2/3 4 streams: 77/240 s of audio, about 42 s left",
        "2/3 4 streams: 117/240 s of audio, about 32 s left",
    ]


def test_a_table_is_aligned() -> None:
    widths = (7, 4)
    assert aligned(("streams", "lead"), widths) == "| streams | lead |"
    assert aligned(("16", "1.5"), widths) == "| 16      | 1.5  |"
