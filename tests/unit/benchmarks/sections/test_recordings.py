"""How much sound the comparison with faster-whisper takes, and what a row says."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.recordings import Measured
from benchmarks.sections.recordings import Row, Sound, duration_s, fitting_s
from emostream.streamer.replay.discovery import find_jobs
from tests.support.wav_file import write_speech


@pytest.mark.parametrize(
    ("took_s", "sound_s"),
    [
        (3.0, 600.0),  # ten minutes would fit
        (6.0, 300.0),
        (17.0, 120.0),  # fewer fit, but that says too little
    ],
)
def test_as_much_sound_as_fits_a_minute(took_s: float, sound_s: float) -> None:
    assert fitting_s(30.0, took_s, most_s=600.0) == sound_s


def test_a_smoke_run_takes_no_more_than_it_may() -> None:
    assert fitting_s(30.0, 17.0, most_s=10.0) == 10.0


def test_recordings_are_drawn_as_files_or_as_one(tmp_path: Path) -> None:
    files = [write_speech(tmp_path / f"{number}.wav", number, ms=500) for number in range(6)]
    sound = Sound(find_jobs(files)[0], tmp_path)
    separate = sound.seconds(2.0, "files")
    (one,) = sound.seconds(2.0, "joined")
    assert duration_s(separate) == pytest.approx(2.0, abs=0.5)
    assert one.seconds == pytest.approx(duration_s(separate) + len(separate))  # a second behind each


def test_a_row_has_both_programs_and_their_ratio() -> None:
    ours = Measured("ours", [10.0], [19.0], words=70)
    theirs = Measured("theirs", [40.0], [72.0], words=81)
    assert Row("joined", 1, 402.4, ours, theirs).cells("base") == [
        "joined into one recording",
        "base",
        "1",
        "402",
        "10.0 / 40.0",
        "19.0 / 72.0",
        "70 / 81",
        "0.25",
    ]
