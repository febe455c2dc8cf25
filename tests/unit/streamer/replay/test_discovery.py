"""Which files a folder or pattern stands for, and names that mean something else to FFmpeg."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from emostream.streamer.audio.sources import FileSource, Pcm
from emostream.streamer.replay.discovery import find_jobs, find_paths
from tests.support.wav_file import write_speech


def found(place: Path) -> list[str]:
    return [name for _, name in find_paths([place], [])]


def test_hidden_files_in_folders_are_left_out(tmp_path: Path) -> None:
    for name in ("a.wav", "._a.wav", ".hidden.wav", ".trash/b.wav", "__MACOSX/._a.wav", "b/c.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert found(tmp_path) == ["a.wav", str(Path("b/c.wav"))]
    assert found(tmp_path / "*.wav") == ["a.wav"]
    assert found(tmp_path / "**/*.wav") == ["a.wav", "c.wav"]


def test_what_is_named_is_read_although_it_is_hidden(tmp_path: Path) -> None:
    (tmp_path / ".trash").mkdir()
    for name in ("._a.wav", ".trash/b.wav", ".trash/._c.wav"):
        (tmp_path / name).touch()
    assert found(tmp_path / "._a.wav") == ["._a.wav"]
    assert found(tmp_path / ".trash") == ["b.wav"]
    assert found(tmp_path / ".trash/*.wav") == ["b.wav"]


@pytest.mark.parametrize(
    "name", ["12:30.wav", "http:x.wav", "file:x.wav", "concat:x.wav", "-x.wav", "a%03d.wav"]
)
async def test_a_name_is_a_name(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_speech(tmp_path / name, 1, ms=100)
    monkeypatch.chdir(tmp_path)  # FFmpeg would take a relative one for an address
    jobs, failures = find_jobs([Path(name)])
    assert not failures
    assert [job.name for job in jobs] == [name]
    items = [item async for item in FileSource(Path(name)).items()]
    assert sum(len(item.block) for item in items if isinstance(item, Pcm)) == 19_200


@pytest.mark.parametrize("address", ["https://example.org/a.wav", "s3://bucket/a.wav"])
def test_an_address_is_one_line_that_says_how(address: str) -> None:
    _, (failure,) = find_jobs([Path(address)])
    assert "download it, or pipe it" in str(failure)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="expected named pipes, found none: Windows")
def test_a_pipe_in_a_folder_is_no_recording(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.wav")
    write_speech(tmp_path / "b.wav", 1, ms=100)
    assert found(tmp_path) == ["b.wav"]
