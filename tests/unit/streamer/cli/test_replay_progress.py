"""What a person reads of a replay of several recordings."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from emostream.streamer.cli.replay_progress import already, outcome_reporter, total_line
from emostream.streamer.errors import SourceError
from emostream.streamer.protocol import messages
from emostream.streamer.replay.discovery import ReplayJob
from emostream.streamer.replay.outputs import ReplayOutcome


def outcome(name: str, seconds: float, utterances: int, failure: SourceError | None = None) -> ReplayOutcome:
    totals = messages.Totals(audio_ms=round(seconds * 1_000), utterances=utterances, dropped_ms=0)
    return ReplayOutcome(ReplayJob(Path(name), name), totals, failure=failure)


def reported(*outcomes: ReplayOutcome, total: int) -> list[str]:
    out = io.StringIO()
    report = outcome_reporter(Console(file=out, width=200), total)
    for each in outcomes:
        report(each)
    return out.getvalue().splitlines()


def test_each_of_several_has_its_number() -> None:
    assert reported(outcome("a.wav", 2, 1), outcome("b.wav", 3, 0), total=12) == [
        "1/12 a.wav: 1 utterance in 2.0 s of audio",
        "2/12 b.wav: no utterances in 3.0 s of audio: no speech was found",
    ]
    assert reported(outcome("a.wav", 2, 1), total=1) == ["a.wav: 1 utterance in 2.0 s of audio"]


@pytest.mark.parametrize(
    ("count", "line"),
    [
        (0, "0 recordings, 0 utterances, 0 failed; 0.0 s of audio in 2.0 s (0.0 x real time)"),
        (1, "1 recording, 1 utterance, 0 failed; 9.0 s of audio in 2.0 s (4.5 x real time)"),
        (2, "2 recordings, 2 utterances, 0 failed; 18 s of audio in 2.0 s (9.0 x real time)"),
    ],
)
def test_counts_of_one_are_singular(count: int, line: str) -> None:
    assert total_line([outcome("a.wav", 9, 1)] * count, 0, 2.0) == line
    recordings, have = line.partition(",")[0], "has" if count == 1 else "have"
    assert already(count, count, "a result") == f"{count} of {recordings} {have} a result already."


@pytest.mark.parametrize(
    ("seconds", "line"),
    [
        (2.0, "4 recordings, 3 utterances, 2 failed; 100 s of audio in 2.0 s (50 x real time)"),
        (185.0, "4 recordings, 3 utterances, 2 failed; 100 s of audio in 3:05 min (0.5 x real time)"),
        (7_800.0, "4 recordings, 3 utterances, 2 failed; 100 s of audio in 2:10 h (0.0 x real time)"),
    ],
)
def test_the_total(seconds: float, line: str) -> None:
    """Of one that could not be opened, one that was cut short, and two others."""
    cut = outcome("c.wav", 30, 0, SourceError("cut short"))
    assert total_line([outcome("a.wav", 60, 2), outcome("b.wav", 10, 1), cut], 1, seconds) == line
