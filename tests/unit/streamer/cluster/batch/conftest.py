"""Recordings for the tests of batch jobs."""

from __future__ import annotations

from pathlib import Path

import pytest

from emostream.streamer.cluster.batch.discovery import RecordingRef
from emostream.streamer.cluster.batch.shards import Shard
from tests.support.wav_file import write_speech


@pytest.fixture
def three(tmp_path: Path) -> Shard:
    paths = [write_speech(tmp_path / "in" / f"{number}.wav", number) for number in range(3)]
    return Shard(tuple(RecordingRef(str(path), str(path)) for path in paths))
