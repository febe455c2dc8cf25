"""One output folder holds results of one set of models and settings."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from emostream.streamer.cluster.batch.shard_record import addresses_in
from emostream.streamer.cluster.batch.shards import Shard
from emostream.streamer.errors import ClusterError, ConfigError
from tests.support.batch_run import BatchRun

pytest.importorskip("fsspec")


def test_a_record_of_other_models_is_withdrawn_and_ends_the_run(tmp_path: Path, three: Shard) -> None:
    job = BatchRun(tmp_path / "out")
    job.begin()
    first, second, third = (Shard((recording,)) for recording in three.recordings)
    record = job.process(first)
    job.store.accept(record)
    job.store.accept(record)
    other = replace(job.process(second), models=("whisper", "another"))
    with pytest.raises(ClusterError, match="expected the same models for all recordings"):
        job.store.accept(other)
    with pytest.raises(ClusterError):
        job.process(third)
    job.begin(resume=True)
    assert addresses_in(job.done) == set(record.recordings)
    assert job.completed() == [first.recordings[0].name]


def test_unaccepted_records_of_other_models_count_as_incomplete(tmp_path: Path, three: Shard) -> None:
    job = BatchRun(tmp_path / "out")
    job.begin()
    first, second = Shard(three.recordings[:1]), Shard(three.recordings[1:])
    job.store.accept(job.process(first))
    job.process(second)
    path = job.folder / "done" / f"{second.name}.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"models": ["whisper", "another"]}))
    job.begin(resume=True)
    assert addresses_in(job.done) == {first.recordings[0].address}
    assert job.completed() == [first.recordings[0].name]


def test_the_device_of_a_model_does_not_matter(tmp_path: Path, three: Shard) -> None:
    job = BatchRun(tmp_path / "out")
    job.begin()
    record = job.process(three)
    for how in ("cpu, ONNX Runtime", "cuda", "cuda, bfloat16"):
        job.store.accept(replace(record, models=(None, f"a+b bundled (3.0 M parameters, {how})")))
    with pytest.raises(ClusterError):
        job.store.accept(replace(record, models=(None, "a+b bundled (4.0 M parameters, cuda)")))


def test_a_resume_with_other_settings_is_rejected(tmp_path: Path, three: Shard) -> None:
    job = BatchRun(tmp_path / "out")
    job.begin()
    job.process(three)
    job.asr = "tiny.en"
    with pytest.raises(
        ConfigError, match=r'expected models.asr "none", as the results in .* have, got "tiny.en"'
    ):
        job.begin(resume=True)
    job.asr = "none"
    job.begin(resume=True)
    assert len(job.done) == 1
