"""The output folder of a batch job: resuming, foreign files, concurrent runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from emostream.streamer.cluster.batch.discovery import find_recordings
from emostream.streamer.cluster.batch.output_store import OutputStore
from emostream.streamer.cluster.batch.shard_record import addresses_in
from emostream.streamer.cluster.batch.shards import Shard
from emostream.streamer.errors import ClusterError, ConfigError
from emostream.streamer.summary.reader import find_results
from tests.support.batch_run import BatchRun, write_file
from tests.support.wav_file import write_speech

pytest.importorskip("fsspec")


def test_resume_skips_complete_shards_and_removes_incomplete_ones(tmp_path: Path, three: Shard) -> None:
    job = BatchRun(tmp_path / "out")
    job.begin()
    first, rest = Shard(three.recordings[:1]), Shard(three.recordings[1:])
    job.process(first)
    # Of a worker that was killed: before its record, during an upload, and during the processing.
    for name in (
        f"results/{rest.name}.jsonl",
        f"errors/{rest.name}.jsonl",
        f"unfinished/{'0' * 32}",
        f"attempts/{rest.name}.json",
    ):
        (job.folder / name).write_text("half a line")
    with pytest.raises(ConfigError, match="add --resume"):
        job.begin()
    job.begin(resume=True)
    assert addresses_in(job.done) == {first.recordings[0].address}
    job.process(rest)
    assert job.completed() == [recording.name for recording in three.recordings]
    assert not job.lines("errors")


def test_another_format_is_rejected(tmp_path: Path, three: Shard) -> None:
    job = BatchRun(tmp_path / "out")
    job.begin()
    job.process(three)
    with pytest.raises(ConfigError, match="expected --format jsonl"):
        BatchRun(tmp_path / "out", "parquet").begin(resume=True)


def test_a_worker_without_access_to_the_folder_is_an_error(tmp_path: Path, three: Shard) -> None:
    job = BatchRun(tmp_path / "out")
    job.begin()
    (job.folder / "run.json").unlink()
    with pytest.raises(ClusterError, match=r"storage that every node of the cluster sees.* on node n"):
        job.process(three)


def test_a_worker_of_an_earlier_run_stops(tmp_path: Path, three: Shard) -> None:
    earlier, later = BatchRun(tmp_path / "out"), BatchRun(tmp_path / "out")
    earlier.begin()
    later.begin()
    with pytest.raises(ClusterError, match="one run at a time"):
        earlier.process(three)
    assert not later.completed()
    earlier.store.end()
    later.process(three)
    assert len(later.completed()) == 3


def test_the_output_folder_may_be_a_uri(tmp_path: Path, three: Shard) -> None:
    job = BatchRun(tmp_path / "out")
    job.store = OutputStore(f"file://{tmp_path}/out", "jsonl")
    job.begin()
    job.process(three)
    assert job.completed() == [recording.name for recording in three.recordings]


def test_a_summary_reads_the_results_and_not_the_errors(tmp_path: Path) -> None:
    good = write_speech(tmp_path / "in" / "good.wav", 1)
    (tmp_path / "in" / "bad.wav").write_bytes(b"dear diary")
    found, _ = find_recordings([str(tmp_path / "in")])
    job = BatchRun(tmp_path / "out")
    job.begin()
    job.process(Shard(tuple(found)))
    assert job.lines("errors")
    files, missing = find_results([tmp_path / "out"])
    assert not missing
    assert [recording.name for file in files for recording in file.read()] == [str(good)]


def test_foreign_files_are_not_removed(tmp_path: Path, three: Shard) -> None:
    job = BatchRun(tmp_path / "out")
    job.begin()
    job.process(three)
    mine = (
        "results/talk",
        "errors/part-1.jsonl",
        "attempts/my.json",
        "unfinished/novel",
        "done/a.json",
    )
    for name in mine:
        (job.folder / name).write_text("mine")
    (job.folder / "attempts" / "more").mkdir()
    job.begin(resume=True)
    job.store.end()
    assert {name: job.files()[name] for name in mine} == dict.fromkeys(mine, b"mine")
    assert (job.folder / "attempts" / "more").is_dir()
    assert job.completed() == [recording.name for recording in three.recordings]


@pytest.mark.parametrize("name", ["results/talk.jsonl", "errors/more/1.txt", "unfinished/novel", "run.json"])
def test_a_folder_with_foreign_files_is_rejected(tmp_path: Path, name: str) -> None:
    write_file(tmp_path / "out" / name)
    with pytest.raises(ConfigError, match=r"expected a new folder, got .*; choose another --output-dir"):
        BatchRun(tmp_path / "out").begin()
    assert (tmp_path / "out" / name).read_bytes() == b"12345"


def test_brackets_in_the_output_folder_are_not_a_pattern(tmp_path: Path, three: Shard) -> None:
    for place in (str(tmp_path / "o[ab]*"), f"memory://{tmp_path}/o[ab]*"):
        job = BatchRun(tmp_path / "out")
        job.store = OutputStore(place, "jsonl")
        job.begin()
        record = job.process(three)
        job.store.end()
        job.begin(resume=True)
        assert job.done == [record]


def test_failed_recordings_are_retried_with_their_shard(tmp_path: Path, three: Shard) -> None:
    job = BatchRun(tmp_path / "out")
    good, bad = Path(three.recordings[0].address), Path(three.recordings[1].address)
    intact = bad.read_bytes()
    bad.write_bytes(b"dear diary")
    job.begin()
    job.process(three)
    assert len(job.lines("errors")) == 1
    job.begin(str(bad), resume=True)  # the others could not be analyzed again
    job.begin(str(good), resume=True)
    assert addresses_in(job.done) == {recording.address for recording in three.recordings}
    bad.write_bytes(intact)
    job.begin(*(recording.address for recording in three.recordings), resume=True)
    assert job.done == []
    assert not job.lines("errors") + job.lines("results")
    job.process(Shard(three.recordings[1:]))
    job.process(Shard(three.recordings[:1]))
    assert job.completed() == [recording.name for recording in three.recordings]
    assert not job.lines("errors")


def test_a_shard_that_completes_while_another_run_begins_counts(
    tmp_path: Path, three: Shard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its results are not removed, and it counts as complete."""
    earlier, later = BatchRun(tmp_path / "out"), BatchRun(tmp_path / "out")
    earlier.begin()
    write = later.store.storage.write

    def write_after_processing(name: str, data: bytes) -> None:
        if name == "run.json":
            earlier.process(three)
        write(name, data)

    monkeypatch.setattr(later.store.storage, "write", write_after_processing)
    later.begin(resume=True)
    assert addresses_in(later.done) == {recording.address for recording in three.recordings}
    assert len(later.completed()) == 3


def test_a_run_that_is_taken_over_during_an_upload_commits_nothing(
    tmp_path: Path, three: Shard, monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier, later = BatchRun(tmp_path / "out"), BatchRun(tmp_path / "out")
    earlier.begin()
    put = earlier.store.storage.put

    def put_after_takeover(file: Path, name: str) -> None:
        later.begin()
        put(file, name)

    monkeypatch.setattr(earlier.store.storage, "put", put_after_takeover)
    with pytest.raises(ClusterError, match="one run at a time"):
        earlier.process(three)
    assert not list((tmp_path / "out" / "done").iterdir())
