"""A shard, processed with fake models: its results and its record."""

from __future__ import annotations

from pathlib import Path

import pytest

from emostream.streamer.cluster.batch.shards import Shard
from tests.support.batch_run import BatchRun

pytest.importorskip("fsspec")


def test_a_shard_has_results_and_a_record(tmp_path: Path, three: Shard) -> None:
    job = BatchRun(tmp_path / "out")
    job.begin()
    record = job.process(three)
    assert job.completed() == [recording.name for recording in three.recordings]
    assert (record.complete, record.errors, record.utterances) == (3, 0, 3)
    assert record.audio_s == pytest.approx(3 * 2.0)
    assert record.recordings == tuple(recording.address for recording in three.recordings)
    assert sorted(job.files()) == [
        f"done/{three.name}.json",
        "models.json",
        f"results/{three.name}.jsonl",
        "run.json",
    ]
    job.store.end()
    left = sorted(path.name for path in job.folder.iterdir())
    assert left == ["done", "errors", "models.json", "results"]


def test_a_shard_that_is_requested_twice_is_processed_once(tmp_path: Path, three: Shard) -> None:
    job = BatchRun(tmp_path / "out")
    job.begin()
    record = job.process(three)
    before = job.files()
    assert job.process(three) == record
    assert job.files() == before


def test_a_second_attempt_without_errors_leaves_none(tmp_path: Path, three: Shard) -> None:
    """The first one was killed before its record."""
    job = BatchRun(tmp_path / "out")
    job.begin()
    (job.folder / "errors" / f"{three.name}.jsonl").write_text("{}\n")
    job.process(three)
    assert not job.lines("errors")
