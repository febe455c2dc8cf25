"""One recording of a shard: its errors, its download, its name."""

from __future__ import annotations

import asyncio
import os
import zipfile
from pathlib import Path
from typing import Any

import pytest
import soundfile

from emostream.streamer.cluster.batch.discovery import RecordingRef, find_recordings
from emostream.streamer.cluster.batch.recording_task import RecordingTask
from emostream.streamer.cluster.batch.shard_record import BatchFormat, addresses_in
from emostream.streamer.cluster.batch.shards import Shard
from emostream.streamer.protocol import messages
from tests.support.batch_run import BatchRun
from tests.support.fakes import silence, voice
from tests.support.scripted_sessions import ItemSource, eventful_items, record_session
from tests.support.wav_file import write_speech

pytest.importorskip("fsspec")


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_failures_are_in_the_errors_table_and_the_rest_in_the_results(
    tmp_path: Path, form: BatchFormat
) -> None:
    inside = tmp_path / "in"
    good, poison = write_speech(inside / "good.wav", 1), write_speech(inside / "poison.wav", 2, ms=1_300)
    (inside / "bad.wav").write_bytes(b"dear diary")
    soundfile.write(inside / "whole.flac", [*silence(400), *voice(4_000), *silence(700)], 16_000)
    intact = (inside / "whole.flac").read_bytes()
    (inside / "cut.flac").write_bytes(intact[: len(intact) // 2])
    paths = [good, poison, inside / "bad.wav", inside / "cut.flac", inside / "gone.wav"]
    shard = Shard(tuple(RecordingRef(str(path), str(path)) for path in paths))
    job = BatchRun(tmp_path / "out", form, fails_on=range(1_400, 2_000))
    job.begin()
    record = job.process(shard)
    assert (record.complete, record.errors) == (2, 4)
    assert record.failed == tuple(str(path) for path in paths[2:])
    if form == "parquet":
        from pyarrow import parquet

        errors = parquet.read_table(job.folder / "errors").to_pylist()
        files = set(parquet.read_table(job.folder / "results").column("file").to_pylist())
    else:
        errors, files = job.lines("errors"), {line["file"] for line in job.lines("results")}
    row_of = {Path(row["file"]).name: row for row in errors}
    assert sorted(row_of) == ["bad.wav", "cut.flac", "gone.wav", "poison.wav"]
    assert {row_of[name]["code"] for name in ("bad.wav", "cut.flac", "gone.wav")} == {"bad_source"}
    assert {row["utterance"] for row in errors} == {None, 1}
    assert (row_of["poison.wav"]["code"], row_of["poison.wav"]["utterance"]) == ("analysis_failed", 1)
    assert row_of["bad.wav"]["audio_s"] == 0.0
    assert 0.5 < row_of["cut.flac"]["audio_s"] < 4.5
    assert str(good) in files  # the part before the truncation has results, too
    assert str(paths[3]) in files
    assert str(paths[2]) not in files


def test_remote_recordings_are_downloaded_and_named_by_their_addresses(tmp_path: Path, three: Shard) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archived:
        for recording in three.recordings:
            archived.write(recording.address, Path(recording.address).name)
        archived.writestr("bad.wav", "dear diary")
    place = f"zip://*.wav::{tmp_path}/a.zip"
    found, _ = find_recordings([place])
    gone = RecordingRef(f"zip://gone.wav::{tmp_path}/a.zip", f"zip://gone.wav::{tmp_path}/a.zip")
    job = BatchRun(tmp_path / "out")
    job.begin()
    job.process(Shard((*found, gone)))
    assert job.completed() == [place.replace("*", str(number)) for number in range(3)]
    bad, missing = job.lines("errors")
    assert bad["file"] == place.replace("*", "bad")
    assert bad["file"] in bad["message"]
    assert missing["file"] == gone.name
    assert "gone.wav" in missing["message"]


def test_a_recorded_session_is_one_recording(tmp_path: Path) -> None:
    events = asyncio.run(record_session(tmp_path / "in" / "talk", ItemSource(eventful_items())))
    (recording,), _ = find_recordings([str(tmp_path / "in")])
    job = BatchRun(tmp_path / "out")
    job.begin()
    job.process(Shard((recording,)))
    lines = job.lines("results")
    assert {line["file"] for line in lines} == {str(tmp_path / "in" / "talk")}
    lost = [line["ms"] for line in lines if line["type"] == "dropped"]
    assert lost == [event.ms for event in events if isinstance(event, messages.Dropped)] != []


def test_a_name_that_is_not_utf8_is_preserved(tmp_path: Path) -> None:
    path = write_speech(tmp_path / "in" / "1.wav", 1).rename(tmp_path / "in" / os.fsdecode(b"caf\xe9.wav"))
    found, _ = find_recordings([str(tmp_path / "in")])
    job = BatchRun(tmp_path / "out")
    job.begin()
    job.process(Shard(tuple(found)))
    job.begin(resume=True)
    assert addresses_in(job.done) == {str(path)}
    (name,) = job.completed()
    assert name.endswith("caf\ufffd.wav")


def test_an_unexpected_exception_fails_only_its_recording(
    tmp_path: Path, three: Shard, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison = three.recordings[1].name
    send = RecordingTask.send

    async def fail_on_one(self: RecordingTask, event: Any) -> None:
        if self.recording.name == poison:
            raise ZeroDivisionError("unexpected\nerror")
        await send(self, event)

    monkeypatch.setattr(RecordingTask, "send", fail_on_one)
    job = BatchRun(tmp_path / "out")
    job.begin()
    record = job.process(three)
    (row,) = job.lines("errors")
    assert (row["file"], row["code"]) == (poison, "internal")
    assert "ZeroDivisionError: unexpected error" in row["message"]
    assert (record.complete, record.failed) == (2, (poison,))
    assert {recording.name for recording in three.recordings} - {poison} <= set(job.completed())


def test_results_that_cannot_be_written_end_the_run(
    tmp_path: Path, three: Shard, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def disk_full(self: RecordingTask, event: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(RecordingTask, "send", disk_full)
    job = BatchRun(tmp_path / "out")
    job.begin()
    with pytest.raises(OSError, match="No space left"):
        job.process(three)
