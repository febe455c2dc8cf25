"""Discovery of recordings in folders, by patterns and at URIs."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from emostream.streamer.cluster.batch.discovery import _address as address_in
from emostream.streamer.cluster.batch.discovery import find_recordings, recording_suffix
from emostream.streamer.errors import ConfigError
from tests.support.batch_run import write_file
from tests.support.wav_file import write_speech

fsspec = pytest.importorskip("fsspec")
from fsspec.implementations.local import LocalFileSystem  # noqa: E402  # after the check for it


def test_folders_patterns_and_files_give_each_recording_once(tmp_path: Path) -> None:
    for name in ("a/1.wav", "a/b/2.FLAC", "3.mp3"):
        write_speech(tmp_path / name, 1) if name.endswith("wav") else write_file(tmp_path / name)
    write_file(tmp_path / "a" / "notes.txt")
    folder = str(tmp_path)
    found, missing = find_recordings([folder, f"{folder}/*.mp3", f"{folder}/a/1.wav", f"{folder}/gone/*.wav"])
    assert [recording.name for recording in found] == [
        f"{folder}/{name}" for name in ("3.mp3", "a/1.wav", "a/b/2.FLAC")
    ]
    assert [recording.size_bytes for recording in found] == [
        Path(recording.name).stat().st_size for recording in found
    ]
    assert "gone/*.wav" in str(missing[0])


def test_names_stay_as_given_and_addresses_are_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_file(tmp_path / "in" / "1.wav")
    monkeypatch.chdir(tmp_path)
    (recording,), _ = find_recordings(["in"])
    assert (recording.name, recording.address) == ("in/1.wav", f"{tmp_path}/in/1.wav")


def test_uris_are_searched_like_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
        assert [recording.address for recording in found] == [f"zip://{name}{end}" for name in inside], place
        assert {recording.size_bytes for recording in found} == {5}
        assert not missing
    monkeypatch.chdir(tmp_path)
    (recording,), _ = find_recordings(["zip://*.wav::a.zip"])
    assert (recording.name, recording.address) == ("zip://1.wav::a.zip", f"zip://1.wav{end}")


def test_all_spellings_of_a_path_are_one_recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only links to files are recordings of their own: others may lie behind them tomorrow."""
    write_file(tmp_path / "in" / "1.wav")
    (tmp_path / "in" / "2.wav").symlink_to(tmp_path / "in" / "1.wav")
    (tmp_path / "linked").symlink_to(tmp_path / "in")
    (tmp_path / "beside").mkdir()
    monkeypatch.chdir(tmp_path / "beside")
    addresses = [f"{tmp_path}/in/1.wav", f"{tmp_path}/in/2.wav"]
    places = ["../in", f"file://{tmp_path}/in", f"local://{tmp_path}/beside/../in", "../linked"]
    for given in (*([place] for place in places), places):
        found, missing = find_recordings(given)
        assert [recording.address for recording in found] == addresses, given
        assert not missing
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("1.wav", "12345")
    ends = ("../a.zip", f"{tmp_path}/a.zip", f"file://{tmp_path}/a.zip")
    (recording,), _ = find_recordings([f"zip://::{end}" for end in ends])
    assert recording.address == f"zip://1.wav::{tmp_path}/a.zip"


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
def test_files_in_a_remote_folder_keep_its_host(place: str, path: str, inside: str, address: str) -> None:
    assert address_in(place, path, inside) == address


def test_links_in_a_remote_folder_are_recordings(tmp_path: Path) -> None:
    write_file(tmp_path / "kept.bin")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "1.wav").symlink_to(tmp_path / "kept.bin")
    fsspec.register_implementation("linked", Linked, clobber=True)
    found, missing = find_recordings([f"linked://{tmp_path}/in"])
    assert [recording.address for recording in found] == [f"linked://{tmp_path}/in/1.wav"]
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
def test_a_local_copy_has_the_suffix_of_its_format(address: str, suffix: str) -> None:
    assert recording_suffix(address) == suffix


def test_a_uri_without_recordings_is_reported_and_one_without_a_driver_rejected(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("notes.txt", "12345")
    end = f"::{tmp_path}/a.zip"
    found, missing = find_recordings([f"zip://{end}", f"zip://gone.wav{end}"])
    assert not found
    assert "found none" in str(missing[0])
    assert "gone.wav" in str(missing[1])
    with pytest.raises(ConfigError, match="install its driver"):
        find_recordings(["unknown-scheme://x"])
