"""Recordings that crash workers are isolated and skipped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from emostream.streamer.cluster.batch.retries import RetryLog
from emostream.streamer.cluster.batch.shards import Shard
from tests.support.batch_run import BatchRun

pytest.importorskip("fsspec")


def test_a_recording_on_which_workers_die_is_skipped_in_the_end(tmp_path: Path, three: Shard) -> None:
    """Two workers die on the shard. Attempts from the third on are isolated, and two of those die as well."""
    job = BatchRun(tmp_path / "out")
    job.begin()
    log = RetryLog(job.store.storage)
    crashing = three.recordings[1]
    isolated = [log.begin(three).isolated for _ in range(3)]
    assert isolated == [False, False, True]
    for _ in range(2):
        attempt = log.begin(three)
        assert not attempt.should_skip(crashing.address)  # a lost node is not its fault
        log.mark_in_progress(three, attempt, crashing.address)
    record = job.process(three)
    assert job.completed() == [three.recordings[0].name, three.recordings[2].name]
    (row,) = job.lines("errors")
    assert (row["file"], row["code"], row["audio_s"]) == (crashing.name, "worker_died", 0.0)
    assert "two workers died on" in row["message"]
    assert (record.complete, record.errors, record.failed) == (2, 1, (crashing.address,))
    assert not list((job.folder / "attempts").iterdir())


def test_an_isolated_attempt_logs_each_recording_before_it_is_processed(
    tmp_path: Path, three: Shard, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = BatchRun(tmp_path / "out")
    job.begin()
    for _ in range(2):
        RetryLog(job.store.storage).begin(three)
    written: list[dict[str, Any]] = []
    write = job.store.storage.write

    def recording_write(name: str, data: bytes) -> None:
        if name.startswith("attempts/"):
            written.append(json.loads(data))
        write(name, data)

    monkeypatch.setattr(job.store.storage, "write", recording_write)
    job.process(three)
    one, two, last = (recording.address for recording in three.recordings)
    assert [attempt["in_progress"] for attempt in written] == [None, one, None, two, None, last, None]
    assert {attempt["number"] for attempt in written} == {3}


def test_attempts_of_an_earlier_run_do_not_count(tmp_path: Path, three: Shard) -> None:
    """The run may have been ended each time."""
    job = BatchRun(tmp_path / "out")
    for _ in range(4):
        job.begin(resume=True)
        attempt = RetryLog(job.store.storage).begin(three)
        assert attempt.number == 1
