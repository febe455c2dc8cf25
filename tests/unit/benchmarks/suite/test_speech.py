"""The speech that is measured with: the demo's utterances, or a folder's recordings."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks.suite.speech import demo_recording, speech_clips, spread_files
from emostream.streamer.errors import SourceError
from tests.support.shared import REPO


def test_the_demo_recording_is_cut_into_its_utterances() -> None:
    """Those that its page lists."""
    page = (REPO / "demo" / "RECORDING.md").read_text(encoding="utf-8")
    lines = re.findall(r"^\| *\d", page, re.MULTILINE)
    clips = speech_clips(None)
    assert len(clips) == len(lines)
    assert 0.4 * len(demo_recording()) < sum(map(len, clips)) < len(demo_recording())


def test_files_are_spread_evenly_over_a_folder(tmp_path: Path) -> None:
    for number in range(50):
        (tmp_path / f"{number:02}.flac").touch()
    (tmp_path / "notes.txt").touch()
    assert [file.stem for file in spread_files(tmp_path, 3)] == ["00", "24", "49"]
    assert len(spread_files(tmp_path, 100)) == 50


def test_a_folder_without_recordings_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"expected recordings in .*, found none; name another folder"):
        spread_files(tmp_path)
