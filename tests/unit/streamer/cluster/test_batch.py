"""Archives without a cluster: what is found, how it is dealt out, and what the catalogue says of it."""

from __future__ import annotations

import asyncio
import json
import os
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import soundfile

from emostream.streamer.clock import WallClock
from emostream.streamer.cluster.batch.discovery import Recording, find_recordings, recording_suffix
from emostream.streamer.cluster.batch.discovery import _address as address_in
from emostream.streamer.cluster.batch.output_store import OutputStore
from emostream.streamer.cluster.batch.recording_task import RecordingTask
from emostream.streamer.cluster.batch.retries import RetryLog
from emostream.streamer.cluster.batch.scratch import remove_stale_scratch, scratch_folder
from emostream.streamer.cluster.batch.shard_record import BatchFormat, addresses_in
from emostream.streamer.cluster.batch.shard_runner import JobSpec, ShardRunner
from emostream.streamer.cluster.batch.shards import Shard, make_shards
from emostream.streamer.cluster.batch.storage import Storage
from emostream.streamer.config import Settings
from emostream.streamer.errors import ClusterError, ConfigError
from emostream.streamer.inference.engine import Engine
from emostream.streamer.protocol import messages
from emostream.streamer.replay.runner import ReplayOptions
from emostream.streamer.summary.reader import find_results
from tests.support.fakes import FakeRecognizer, silence, voice
from tests.support.programs import json_lines
from tests.support.scripted_sessions import ItemSource, eventful_items, record_session
from tests.support.wav_file import write_speech

fsspec = pytest.importorskip("fsspec")
from fsspec.implementations.local import LocalFileSystem  # noqa: E402  # behind the question for it


def recordings(*names: str, size_bytes: int = 0) -> list[Recording]:
    return [Recording(name, f"/in/{name}", size_bytes) for name in names]


def numbered(count: int, size_bytes: int = 0) -> list[Recording]:
    return recordings(*(f"{number}.wav" for number in range(count)), size_bytes=size_bytes)


# --- places


def test_folders_patterns_and_files_give_each_recording_once(tmp_path: Path) -> None:
    for name in ("a/1.wav", "a/b/2.FLAC", "3.mp3"):
        write_speech(tmp_path / name, 1) if name.endswith("wav") else _file(tmp_path / name)
    _file(tmp_path / "a" / "notes.txt")
    folder = str(tmp_path)
    found, missing = find_recordings([folder, f"{folder}/*.mp3", f"{folder}/a/1.wav", f"{folder}/gone/*.wav"])
    assert [one.name for one in found] == [f"{folder}/{name}" for name in ("3.mp3", "a/1.wav", "a/b/2.FLAC")]
    assert [one.size_bytes for one in found] == [os.path.getsize(one.name) for one in found]  # noqa: PTH202
    assert "gone/*.wav" in str(missing[0])


def test_names_stay_as_given_and_addresses_are_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _file(tmp_path / "in" / "1.wav")
    monkeypatch.chdir(tmp_path)
    (one,), _ = find_recordings(["in"])
    assert (one.name, one.address) == ("in/1.wav", f"{tmp_path}/in/1.wav")


def test_addresses_are_searched_as_folders_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name in ("1.wav", "b/2.ogg", "b/notes.txt", "3.txt"):
            archive.writestr(name, "12345")
    end = f"::{tmp_path}/a.zip"
    for place, inside in [
        ("zip://", ["1.wav", "b/2.ogg"]),
        ("zip://b", ["b/2.ogg"]),
        ("zip://*.wav", ["1.wav"]),
        ("zip://3.txt", ["3.txt"]),  # named, so it is tried
    ]:
        found, missing = find_recordings([place + end])
        assert [one.address for one in found] == [f"zip://{name}{end}" for name in inside], place
        assert {one.size_bytes for one in found} == {5}
        assert not missing
    monkeypatch.chdir(tmp_path)
    (one,), _ = find_recordings(["zip://*.wav::a.zip"])
    assert (one.name, one.address) == ("zip://1.wav::a.zip", f"zip://1.wav{end}")


def test_a_recording_is_the_same_however_it_is_spelt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only links to files are recordings of their own: others may lie behind them tomorrow."""
    _file(tmp_path / "in" / "1.wav")
    (tmp_path / "in" / "2.wav").symlink_to(tmp_path / "in" / "1.wav")
    (tmp_path / "linked").symlink_to(tmp_path / "in")
    (tmp_path / "beside").mkdir()
    monkeypatch.chdir(tmp_path / "beside")
    addresses = [f"{tmp_path}/in/1.wav", f"{tmp_path}/in/2.wav"]
    places = ["../in", f"file://{tmp_path}/in", f"local://{tmp_path}/beside/../in", "../linked"]
    for given in (*([place] for place in places), places):
        found, missing = find_recordings(given)
        assert [one.address for one in found] == addresses, given
        assert not missing
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("1.wav", "12345")
    ends = ("../a.zip", f"{tmp_path}/a.zip", f"file://{tmp_path}/a.zip")
    (one,), _ = find_recordings([f"zip://::{end}" for end in ends])
    assert one.address == f"zip://1.wav::{tmp_path}/a.zip"


@pytest.mark.parametrize(
    ("place", "path", "inside", "address"),
    [
        ("ftp://user@host/dir/", "/dir", "/dir/1.wav", "ftp://user@host/dir/1.wav"),
        ("ftp://user@host/", "/", "/1.wav", "ftp://user@host/1.wav"),
        ("sftp://host/a/../dir", "/dir", "/dir/1.wav", "sftp://host/a/../dir/1.wav"),
        ("s3://bucket/", "bucket", "bucket/1.wav", "s3://bucket/1.wav"),
        ("s3://bucket/a/*.wav", "bucket/a/*.wav", "bucket/a/1.wav", "s3://bucket/a/1.wav"),
        ("memory://dir/", "/dir", "/dir/1.wav", "memory:///dir/1.wav"),
        ("https://host/dir/", "https://host/dir/", "https://host/dir/1.wav", "https://host/dir/1.wav"),
    ],
)
def test_what_is_in_a_far_folder_keeps_its_host(place: str, path: str, inside: str, address: str) -> None:
    assert address_in(place, path, inside) == address


def test_links_in_a_far_folder_are_recordings(tmp_path: Path) -> None:
    _file(tmp_path / "kept.bin")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "1.wav").symlink_to(tmp_path / "kept.bin")
    fsspec.register_implementation("linked", Linked, clobber=True)
    found, missing = find_recordings([f"linked://{tmp_path}/in"])
    assert [one.address for one in found] == [f"linked://{tmp_path}/in/1.wav"]
    assert not missing


class Linked(LocalFileSystem):  # type: ignore[misc]  # fsspec is not annotated
    """This machine, through a driver that is not known to be that."""

    protocol = "linked"


@pytest.mark.parametrize(
    ("address", "suffix"),
    [
        ("/in/a.FLAC", ".FLAC"),
        ("s3://bucket/a.mp3", ".mp3"),
        ("https://host/a.mp3?of=b.wav&key=" + "0" * 300, ".mp3"),
        ("https://host/get?file=/in/a.wav", ""),
        ("https://host/a.mp3#t=1.5", ".mp3"),
        ("zip://a.ogg::s3://bucket/a.zip", ".ogg"),
        ("/in/a." + "0" * 200, ""),
    ],
)
def test_a_copy_is_named_as_the_format_wants_it(address: str, suffix: str) -> None:
    assert recording_suffix(address) == suffix


def test_an_address_without_recordings_is_named_and_one_without_a_driver_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("notes.txt", "12345")
    end = f"::{tmp_path}/a.zip"
    found, missing = find_recordings([f"zip://{end}", f"zip://gone.wav{end}"])
    assert not found
    assert "found none" in str(missing[0])
    assert "gone.wav" in str(missing[1])
    with pytest.raises(ConfigError, match="install its driver"):
        find_recordings(["nobody-knows-it://x"])


def _file(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"12345")


# --- parts


@pytest.mark.parametrize(
    ("count", "size_bytes", "batch", "workers", "sizes"),
    [
        (10, 0, 4, 1, [3, 3, 3, 1]),  # four parts a worker, so that none waits long for the last
        (1_000, 0, 64, 1, [64] * 15 + [40]),
        (3, 0, 64, 8, [1, 1, 1]),
        (5, 100 << 20, 64, 1, [2, 2, 1]),
        (3, 300 << 20, 64, 1, [1, 1, 1]),
        (0, 0, 64, 1, []),
    ],
)
def test_parts_hold_every_recording_once_in_order(
    count: int, size_bytes: int, batch: int, workers: int, sizes: list[int]
) -> None:
    given = numbered(count, size_bytes)
    parts = list(make_shards(given, batch, workers))
    assert [one for part in parts for one in part.recordings] == given
    assert [len(part.recordings) for part in parts] == sizes
    assert len({part.name for part in parts}) == len(parts)


def test_a_part_is_named_by_its_recordings() -> None:
    one, same, other = (Shard(tuple(recordings(*names))) for names in (["a", "b"], ["a", "b"], ["ab"]))
    assert one.name == same.name != other.name
    assert Shard((Recording("\udce9.wav", "/\udce9.wav"),)).name.startswith("part-")


# --- a part, played


class Archive:
    """Whose models judge in no time. fails_on: lengths in ms of utterances that they cannot bear."""

    def __init__(self, folder: Path, form: BatchFormat = "jsonl", fails_on: Sequence[int] = ()) -> None:
        self.folder = folder
        self.catalogue = OutputStore(str(folder), form)
        self.asr = "none"
        self._fails_on = fails_on

    def begin(self, *wanted: str, resume: bool = False) -> None:
        self.done, self.run = self.catalogue.begin({"models.asr": self.asr}, wanted, resume=resume)

    def play(self, part: Shard) -> Any:
        orders = JobSpec(str(self.folder), self.catalogue.form, Settings(), ReplayOptions(jobs=2), self.run)

        async def play() -> Any:
            engine = Engine(None, FakeRecognizer(self._fails_on), WallClock())
            async with engine.running():
                return await ShardRunner(engine, orders, self.catalogue, "n").play(part)

        return asyncio.run(play())

    def lines(self, folder: str) -> list[dict[str, Any]]:
        files = sorted((self.folder / folder).glob("*.jsonl"))
        return [line for file in files for line in json_lines(file.read_text())]

    def heard(self) -> list[str]:
        """Names of the recordings that came to an end, sorted."""
        return sorted(line["file"] for line in self.lines("results") if line["type"] == "closed")

    def files(self) -> dict[str, bytes]:
        paths = (path for path in self.folder.rglob("*") if path.is_file())
        return {str(path.relative_to(self.folder)): path.read_bytes() for path in paths}


@pytest.fixture
def three(tmp_path: Path) -> Shard:
    paths = [write_speech(tmp_path / "in" / f"{number}.wav", number) for number in range(3)]
    return Shard(tuple(Recording(str(path), str(path)) for path in paths))


def test_a_part_has_results_and_a_note(tmp_path: Path, three: Shard) -> None:
    archive = Archive(tmp_path / "out")
    archive.begin()
    note = archive.play(three)
    assert archive.heard() == [one.name for one in three.recordings]
    assert (note.whole, note.errors, note.utterances) == (3, 0, 3)
    assert note.audio_s == pytest.approx(3 * 2.0)
    assert note.recordings == tuple(one.address for one in three.recordings)
    assert sorted(archive.files()) == [
        f"done/{three.name}.json",
        "models.json",
        f"results/{three.name}.jsonl",
        "run.json",
    ]
    archive.catalogue.end()
    left = sorted(path.name for path in archive.folder.iterdir())
    assert left == ["done", "errors", "models.json", "results"]


def test_a_part_that_is_asked_for_twice_is_done_once(tmp_path: Path, three: Shard) -> None:
    archive = Archive(tmp_path / "out")
    archive.begin()
    note = archive.play(three)
    before = archive.files()
    assert archive.play(three) == note
    assert archive.files() == before


def test_what_is_done_is_left_out_and_what_was_begun_is_swept(tmp_path: Path, three: Shard) -> None:
    archive = Archive(tmp_path / "out")
    archive.begin()
    first, rest = Shard(three.recordings[:1]), Shard(three.recordings[1:])
    archive.play(first)
    # Of a worker that was killed: before its note, while it wrote, and while it played.
    for name in (
        f"results/{rest.name}.jsonl",
        f"errors/{rest.name}.jsonl",
        f"unfinished/{'0' * 32}",
        f"attempts/{rest.name}.json",
    ):
        (archive.folder / name).write_text("half a line")
    with pytest.raises(ConfigError, match="add --resume"):
        archive.begin()
    archive.begin(resume=True)
    assert addresses_in(archive.done) == {first.recordings[0].address}
    archive.play(rest)
    assert archive.heard() == [one.name for one in three.recordings]
    assert not archive.lines("errors")


def test_another_format_is_refused(tmp_path: Path, three: Shard) -> None:
    archive = Archive(tmp_path / "out")
    archive.begin()
    archive.play(three)
    with pytest.raises(ConfigError, match="expected --format jsonl"):
        Archive(tmp_path / "out", "parquet").begin(resume=True)


def test_a_worker_that_does_not_see_the_folder_says_so(tmp_path: Path, three: Shard) -> None:
    archive = Archive(tmp_path / "out")
    archive.begin()
    (archive.folder / "run.json").unlink()
    with pytest.raises(ClusterError, match=r"storage that every node of the cluster sees.* on node n"):
        archive.play(three)


def test_a_worker_of_an_earlier_run_leaves_off(tmp_path: Path, three: Shard) -> None:
    earlier, later = Archive(tmp_path / "out"), Archive(tmp_path / "out")
    earlier.begin()
    later.begin()
    with pytest.raises(ClusterError, match="one run at a time"):
        earlier.play(three)
    assert not later.heard()
    earlier.catalogue.end()
    later.play(three)
    assert len(later.heard()) == 3


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_what_fails_is_in_the_errors_table_and_the_rest_in_the_results(
    tmp_path: Path, form: BatchFormat
) -> None:
    inside = tmp_path / "in"
    good, poison = write_speech(inside / "good.wav", 1), write_speech(inside / "poison.wav", 2, ms=1_300)
    (inside / "bad.wav").write_bytes(b"dear diary")
    soundfile.write(inside / "whole.flac", [*silence(400), *voice(4_000), *silence(700)], 16_000)
    whole = (inside / "whole.flac").read_bytes()
    (inside / "cut.flac").write_bytes(whole[: len(whole) // 2])
    paths = [good, poison, inside / "bad.wav", inside / "cut.flac", inside / "gone.wav"]
    part = Shard(tuple(Recording(str(path), str(path)) for path in paths))
    archive = Archive(tmp_path / "out", form, fails_on=range(1_400, 2_000))
    archive.begin()
    note = archive.play(part)
    assert (note.whole, note.errors) == (2, 4)
    assert note.failed == tuple(str(path) for path in paths[2:])
    if form == "parquet":
        from pyarrow import parquet

        errors = parquet.read_table(archive.folder / "errors").to_pylist()
        files = set(parquet.read_table(archive.folder / "results").column("file").to_pylist())
    else:
        errors, files = archive.lines("errors"), {line["file"] for line in archive.lines("results")}
    told = {Path(row["file"]).name: row for row in errors}
    assert sorted(told) == ["bad.wav", "cut.flac", "gone.wav", "poison.wav"]
    assert {told[name]["code"] for name in ("bad.wav", "cut.flac", "gone.wav")} == {"bad_source"}
    assert {row["utterance"] for row in errors} == {None, 1}
    assert (told["poison.wav"]["code"], told["poison.wav"]["utterance"]) == ("analysis_failed", 1)
    assert told["bad.wav"]["audio_s"] == 0.0
    assert 0.5 < told["cut.flac"]["audio_s"] < 4.5
    assert str(good) in files  # what was heard of the one that breaks off is there, too
    assert str(paths[3]) in files
    assert str(paths[2]) not in files


def test_far_recordings_are_fetched_and_named_by_their_addresses(tmp_path: Path, three: Shard) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archived:
        for one in three.recordings:
            archived.write(one.address, Path(one.address).name)
        archived.writestr("bad.wav", "dear diary")
    place = f"zip://*.wav::{tmp_path}/a.zip"
    found, _ = find_recordings([place])
    gone = Recording(f"zip://gone.wav::{tmp_path}/a.zip", f"zip://gone.wav::{tmp_path}/a.zip")
    archive = Archive(tmp_path / "out")
    archive.begin()
    archive.play(Shard((*found, gone)))
    assert archive.heard() == [place.replace("*", str(number)) for number in range(3)]
    bad, missing = archive.lines("errors")
    assert bad["file"] == place.replace("*", "bad")
    assert bad["file"] in bad["message"]
    assert missing["file"] == gone.name
    assert "gone.wav" in missing["message"]


def test_a_kept_session_is_one_recording(tmp_path: Path) -> None:
    said = asyncio.run(record_session(tmp_path / "in" / "talk", ItemSource(eventful_items())))
    (one,), _ = find_recordings([str(tmp_path / "in")])
    archive = Archive(tmp_path / "out")
    archive.begin()
    archive.play(Shard((one,)))
    lines = archive.lines("results")
    assert {line["file"] for line in lines} == {str(tmp_path / "in" / "talk")}
    lost = [line["ms"] for line in lines if line["type"] == "dropped"]
    assert lost == [event.ms for event in said if isinstance(event, messages.Dropped)] != []


def test_results_may_lie_at_an_address(tmp_path: Path, three: Shard) -> None:
    archive = Archive(tmp_path / "out")
    archive.catalogue = OutputStore(f"file://{tmp_path}/out", "jsonl")
    archive.begin()
    archive.play(three)
    assert archive.heard() == [one.name for one in three.recordings]


def test_a_recording_on_which_workers_die_is_left_out_in_the_end(tmp_path: Path, three: Shard) -> None:
    """Two workers die on the part. From the third one on they note what they play, and two die as well."""
    archive = Archive(tmp_path / "out")
    archive.begin()
    attempts = RetryLog(archive.catalogue.storage)
    deadly = three.recordings[1]
    careful = [attempts.begin(three).careful for _ in range(3)]
    assert careful == [False, False, True]
    for _ in range(2):
        attempt = attempts.begin(three)
        assert not attempt.should_skip(deadly.address)  # a node that was lost is not its fault
        attempts.play(three, attempt, deadly.address)
    note = archive.play(three)
    assert archive.heard() == [three.recordings[0].name, three.recordings[2].name]
    (row,) = archive.lines("errors")
    assert (row["file"], row["code"], row["audio_s"]) == (deadly.name, "worker_died", 0.0)
    assert "two workers died on" in row["message"]
    assert (note.whole, note.errors, note.failed) == (2, 1, (deadly.address,))
    assert not list((archive.folder / "attempts").iterdir())


def test_a_careful_worker_notes_each_recording_before_it_plays_it(
    tmp_path: Path, three: Shard, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = Archive(tmp_path / "out")
    archive.begin()
    for _ in range(2):
        RetryLog(archive.catalogue.storage).begin(three)
    written: list[dict[str, Any]] = []
    write = archive.catalogue.storage.write

    def watched(name: str, data: bytes) -> None:
        if name.startswith("attempts/"):
            written.append(json.loads(data))
        write(name, data)

    monkeypatch.setattr(archive.catalogue.storage, "write", watched)
    archive.play(three)
    one, two, last = (recording.address for recording in three.recordings)
    assert [said["under_way"] for said in written] == [None, one, None, two, None, last, None]
    assert {said["number"] for said in written} == {3}


def test_an_earlier_runs_attempts_do_not_count(tmp_path: Path, three: Shard) -> None:
    """Somebody may have ended it each time."""
    archive = Archive(tmp_path / "out")
    for _ in range(4):
        archive.begin(resume=True)
        attempt = RetryLog(archive.catalogue.storage).begin(three)
        assert attempt.number == 1


def test_a_name_that_is_no_utf8_is_kept(tmp_path: Path) -> None:
    path = write_speech(tmp_path / "in" / "1.wav", 1).rename(tmp_path / "in" / os.fsdecode(b"caf\xe9.wav"))
    found, _ = find_recordings([str(tmp_path / "in")])
    archive = Archive(tmp_path / "out")
    archive.begin()
    archive.play(Shard(tuple(found)))
    archive.begin(resume=True)
    assert addresses_in(archive.done) == {str(path)}
    (name,) = archive.heard()
    assert name.endswith("caf\ufffd.wav")


def test_a_summary_reads_the_results_and_not_the_errors(tmp_path: Path) -> None:
    good = write_speech(tmp_path / "in" / "good.wav", 1)
    (tmp_path / "in" / "bad.wav").write_bytes(b"dear diary")
    found, _ = find_recordings([str(tmp_path / "in")])
    archive = Archive(tmp_path / "out")
    archive.begin()
    archive.play(Shard(tuple(found)))
    assert archive.lines("errors")
    files, missing = find_results([tmp_path / "out"])
    assert not missing
    assert [one.name for file in files for one in file.read()] == [str(good)]


# --- whose folder it is


def test_what_is_not_ours_stays(tmp_path: Path, three: Shard) -> None:
    archive = Archive(tmp_path / "out")
    archive.begin()
    archive.play(three)
    mine = (
        "results/talk",
        "errors/part-1.jsonl",
        "attempts/my.json",
        "unfinished/novel",
        "done/a.json",
    )
    for name in mine:
        (archive.folder / name).write_text("mine")
    (archive.folder / "attempts" / "more").mkdir()
    archive.begin(resume=True)
    archive.catalogue.end()
    assert {name: archive.files()[name] for name in mine} == dict.fromkeys(mine, b"mine")
    assert (archive.folder / "attempts" / "more").is_dir()
    assert archive.heard() == [one.name for one in three.recordings]


@pytest.mark.parametrize("name", ["results/talk.jsonl", "errors/more/1.txt", "unfinished/novel", "run.json"])
def test_a_folder_of_somebody_elses_is_refused(tmp_path: Path, name: str) -> None:
    _file(tmp_path / "out" / name)
    with pytest.raises(ConfigError, match=r"expected a new folder, got .*; choose another --output-dir"):
        Archive(tmp_path / "out").begin()
    assert (tmp_path / "out" / name).read_bytes() == b"12345"


def test_brackets_in_out_are_no_pattern(tmp_path: Path, three: Shard) -> None:
    for place in (str(tmp_path / "o[ab]*"), f"memory://{tmp_path}/o[ab]*"):
        archive = Archive(tmp_path / "out")
        archive.catalogue = OutputStore(place, "jsonl")
        archive.begin()
        note = archive.play(three)
        archive.catalogue.end()
        archive.begin(resume=True)
        assert archive.done == [note]


def test_a_place_is_whole_for_a_worker_that_works_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert Storage("out").absolute_uri == f"{tmp_path}/out"
    assert Storage("file://out").absolute_uri == f"file://{tmp_path}/out"
    assert Storage("memory://out").absolute_uri == "memory://out"


# --- one archive, one judge


def test_a_note_of_other_models_is_withdrawn_and_ends_the_run(tmp_path: Path, three: Shard) -> None:
    archive = Archive(tmp_path / "out")
    archive.begin()
    first, second, third = (Shard((one,)) for one in three.recordings)
    note = archive.play(first)
    archive.catalogue.accept(note)
    archive.catalogue.accept(note)
    other = replace(archive.play(second), models=("whisper", "another"))
    with pytest.raises(ClusterError, match="expected the same models in all of the archive"):
        archive.catalogue.accept(other)
    with pytest.raises(ClusterError):
        archive.play(third)
    archive.begin(resume=True)
    assert addresses_in(archive.done) == set(note.recordings)
    assert archive.heard() == [first.recordings[0].name]


def test_notes_of_other_models_that_nobody_has_read_are_not_done(tmp_path: Path, three: Shard) -> None:
    archive = Archive(tmp_path / "out")
    archive.begin()
    first, second = Shard(three.recordings[:1]), Shard(three.recordings[1:])
    archive.catalogue.accept(archive.play(first))
    archive.play(second)
    path = archive.folder / "done" / f"{second.name}.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"models": ["whisper", "another"]}))
    archive.begin(resume=True)
    assert addresses_in(archive.done) == {first.recordings[0].address}
    assert archive.heard() == [first.recordings[0].name]


def test_where_a_model_computes_does_not_matter(tmp_path: Path, three: Shard) -> None:
    archive = Archive(tmp_path / "out")
    archive.begin()
    note = archive.play(three)
    for how in ("cpu, ONNX Runtime", "cuda", "cuda, bfloat16"):
        archive.catalogue.accept(replace(note, models=(None, f"a+b bundled (3.0 M parameters, {how})")))
    with pytest.raises(ClusterError):
        archive.catalogue.accept(replace(note, models=(None, "a+b bundled (4.0 M parameters, cuda)")))


def test_a_resume_that_asks_for_something_else_is_refused(tmp_path: Path, three: Shard) -> None:
    archive = Archive(tmp_path / "out")
    archive.begin()
    archive.play(three)
    archive.asr = "tiny.en"
    with pytest.raises(ConfigError, match=r'expected models.asr "none", as the results in .* got "tiny.en"'):
        archive.begin(resume=True)
    archive.asr = "none"
    archive.begin(resume=True)
    assert len(archive.done) == 1


# --- what failed, what was killed


def test_what_failed_is_tried_again_with_its_part(tmp_path: Path, three: Shard) -> None:
    archive = Archive(tmp_path / "out")
    good, bad = Path(three.recordings[0].address), Path(three.recordings[1].address)
    whole = bad.read_bytes()
    bad.write_bytes(b"dear diary")
    archive.begin()
    archive.play(three)
    assert len(archive.lines("errors")) == 1
    archive.begin(str(bad), resume=True)  # the others could not be judged again
    archive.begin(str(good), resume=True)
    assert addresses_in(archive.done) == {one.address for one in three.recordings}
    bad.write_bytes(whole)
    archive.begin(*(one.address for one in three.recordings), resume=True)
    assert archive.done == []
    assert not archive.lines("errors") + archive.lines("results")
    archive.play(Shard(three.recordings[1:]))
    archive.play(Shard(three.recordings[:1]))
    assert archive.heard() == [one.name for one in three.recordings]
    assert not archive.lines("errors")


def test_a_second_attempt_without_errors_leaves_none(tmp_path: Path, three: Shard) -> None:
    """The first one was killed before its note."""
    archive = Archive(tmp_path / "out")
    archive.begin()
    (archive.folder / "errors" / f"{three.name}.jsonl").write_text("{}\n")
    archive.play(three)
    assert not archive.lines("errors")


def test_a_worker_that_notes_its_part_while_another_run_begins_is_done(
    tmp_path: Path, three: Shard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its results are swept neither way, and told as done where they stay."""
    earlier, later = Archive(tmp_path / "out"), Archive(tmp_path / "out")
    earlier.begin()
    write = later.catalogue.storage.write

    def played_before(name: str, data: bytes) -> None:
        if name == "run.json":
            earlier.play(three)
        write(name, data)

    monkeypatch.setattr(later.catalogue.storage, "write", played_before)
    later.begin(resume=True)
    assert addresses_in(later.done) == {one.address for one in three.recordings}
    assert len(later.heard()) == 3


def test_a_run_that_was_taken_over_while_it_wrote_notes_nothing(
    tmp_path: Path, three: Shard, monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier, later = Archive(tmp_path / "out"), Archive(tmp_path / "out")
    earlier.begin()
    put = earlier.catalogue.storage.put

    def session_superseded(file: Path, name: str) -> None:
        later.begin()
        put(file, name)

    monkeypatch.setattr(earlier.catalogue.storage, "put", session_superseded)
    with pytest.raises(ClusterError, match="one run at a time"):
        earlier.play(three)
    assert not list((tmp_path / "out" / "done").iterdir())


def test_a_recording_that_is_too_much_for_the_program_costs_itself_alone(
    tmp_path: Path, three: Shard, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison = three.recordings[1].name
    send = RecordingTask.send

    async def dies(self: RecordingTask, event: Any) -> None:
        if self.recording.name == poison:
            raise ZeroDivisionError("nobody\nforesaw it")
        await send(self, event)

    monkeypatch.setattr(RecordingTask, "send", dies)
    archive = Archive(tmp_path / "out")
    archive.begin()
    note = archive.play(three)
    (row,) = archive.lines("errors")
    assert (row["file"], row["code"]) == (poison, "internal")
    assert "ZeroDivisionError: nobody foresaw it" in row["message"]
    assert (note.whole, note.failed) == (2, (poison,))
    assert {one.name for one in three.recordings} - {poison} <= set(archive.heard())


def test_results_that_cannot_be_written_end_the_run(
    tmp_path: Path, three: Shard, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(self: RecordingTask, event: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(RecordingTask, "send", full)
    archive = Archive(tmp_path / "out")
    archive.begin()
    with pytest.raises(OSError, match="No space left"):
        archive.play(three)


def test_scratch_of_killed_workers_is_removed_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    names = ("emostream-part-" + "0" * 32, "emostream-part-1", "emostream-1", "other")
    killed, *others = (tmp_path / name for name in names)
    with scratch_folder() as alive:
        for folder in (killed, *others):
            folder.mkdir()
            (folder / "in-use").write_bytes(b"")
        remove_stale_scratch()
        assert killed.exists()  # it may be about to be locked
        for folder in (killed, alive, *others):
            os.utime(folder, (0, 0))
        remove_stale_scratch()
        assert sorted(tmp_path.iterdir()) == sorted([alive, *others])
    assert not alive.exists()
