"""Clips from manifests and from folders named by label."""

from __future__ import annotations

from pathlib import Path

import pytest

from emostream.training.corpora.example import CorpusError
from emostream.training.corpora.label_folders import read_label_folders
from emostream.training.corpora.places import read_places


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def manifest(folder: Path, *rows: str) -> Path:
    touch(folder, *(row.split(",")[0] for row in rows))
    (folder / "manifest.csv").write_text("path,emotion\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("name", "emotion", "speaker"),
    [
        ("angry/1.wav", "angry", ""),
        ("Anger/1.WAV", "angry", ""),
        ("sad/ANNA/1.flac", "sad", "clips/ANNA"),
        ("ANNA/sad/1.mp3", "sad", "clips/ANNA"),
        ("night/ANNA/happiness/1.ogg", "happy", "clips/night/ANNA"),
        ("disgust/1.webm", "other", ""),
    ],
)
def test_a_folder_gives_label_and_speaker(tmp_path: Path, name: str, emotion: str, speaker: str) -> None:
    root = touch(tmp_path / "clips", name, "angry/._1.wav", ".Trash/sad/1.wav", "sad/notes.txt")
    (example,) = read_label_folders(root)
    assert (example.key, example.emotion, example.speaker) == (name, emotion, speaker)
    assert example.corpus == "clips"
    assert example.audio_path == root / name


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "expected folders named by label .* with audio in them in .*, got none"),
        (["angry/1.wav", "2.wav"], r"got none for .*2\.wav"),
        (["angry/sad/1.wav"], r"got angry and sad for .*1\.wav"),
        (
            ["angry/1.wav", "sad/ANNA/1.wav"],
            "expected a folder for every speaker or for none, got none for 1",
        ),
    ],
)
def test_other_folders_are_one_line(tmp_path: Path, names: list[str], message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        read_label_folders(touch(tmp_path, *names))


def test_places_are_corpora_of_their_names(tmp_path: Path) -> None:
    one = manifest(tmp_path / "one", "1.wav,sad")
    two = touch(tmp_path / "two", "angry/1.wav")
    found = read_places([one, two])
    assert [(e.corpus, e.key) for e in found] == [("one", "one/1.wav"), ("two", "two/angry/1.wav")]
    assert [e.key for e in read_places([one / "manifest.csv"])] == ["1.wav"]
    assert [e.corpus for e in read_places([one / "manifest.csv"])] == ["one"]


def test_a_folder_of_corpora_is_read_as_such(tmp_path: Path) -> None:
    manifest(tmp_path / "all" / "one", "1.wav,sad")
    manifest(tmp_path / "all" / "two", "1.wav,angry")
    found = read_places([tmp_path / "all"])
    assert [(e.corpus, e.key) for e in found] == [("one", "one/1.wav"), ("two", "two/1.wav")]


def test_folders_of_one_name_take_the_name_above_as_well(tmp_path: Path) -> None:
    one, two = touch(tmp_path / "a" / "clips", "sad/1.wav"), touch(tmp_path / "b" / "clips", "sad/1.wav")
    assert [e.corpus for e in read_places([one, two])] == ["a/clips", "b/clips"]
    assert [e.key for e in read_places([one, two])] == ["a/clips/sad/1.wav", "b/clips/sad/1.wav"]


def test_a_place_that_is_missing_and_a_clip_that_comes_twice_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="expected a manifest or a folder"):
        read_places([tmp_path / "none"])
    root = touch(tmp_path / "clips", "sad/1.wav")
    with pytest.raises(CorpusError, match=r"expected places of different names|expected every clip once"):
        read_places([root, root])
