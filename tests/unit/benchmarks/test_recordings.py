"""The comparison with faster-whisper's pipeline: which recordings, and how the ratio is formed."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.recordings import Measured, drawn, joined, times_table
from emostream.streamer.audio.decode import decode_file
from emostream.streamer.replay.discovery import ReplayJob
from tests.support.wav_file import write_speech


def jobs(count: int) -> list[ReplayJob]:
    return [ReplayJob(Path(f"{number}.wav"), str(number), 2.0 + number % 3) for number in range(count)]


def test_recordings_are_drawn_up_to_the_seconds_and_the_same_each_time() -> None:
    taken = drawn(jobs(40), 30.0)
    assert 26.0 < sum(job.seconds or 0.0 for job in taken) <= 30.0
    assert taken == drawn(jobs(40), 30.0)
    assert taken != jobs(40)[: len(taken)]


def test_a_recording_of_unknown_length_is_left_out() -> None:
    assert drawn([ReplayJob(Path("pipe"), "pipe")], 30.0) == []


def test_joined_recordings_have_a_second_of_silence_behind_each(tmp_path: Path) -> None:
    files = [write_speech(tmp_path / f"{number}.wav", number, ms=600) for number in range(2)]
    samples = decode_file(joined(files, tmp_path / "joined.wav"))
    parts = [decode_file(file) for file in files]
    assert len(samples) == sum(map(len, parts)) + 2 * 16_000
    first = len(parts[0])
    assert not samples[first : first + 16_000].any()
    np.testing.assert_allclose(samples[first + 16_000 :][: len(parts[1])], parts[1], atol=1e-4)


def test_the_ratio_is_the_median_of_those_of_the_rounds() -> None:
    measured = [
        Measured("ours", [10.0, 30.0, 12.0], [20.0, 60.0, 24.0], words=7),
        Measured("theirs", [20.0, 20.0, 20.0], [40.0, 40.0, 40.0], words=8),
    ]
    text = times_table(measured)
    assert "| ours | 12.0 | 24.0 | 7 | 1.00 |" in text
    assert "| theirs | 20.0 | 40.0 | 8 | 0.60 |" in text


def test_where_none_is_short_enough_the_shortest_is_taken() -> None:
    taken = drawn(jobs(40), 1.0)
    assert [job.seconds for job in taken] == [2.0]
