"""The manifest reader: a corpus as a CSV or JSONL table."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from emostream.training.corpora.example import CorpusError, Example
from emostream.training.corpora.manifest import read_manifest

Row = dict[str, str]


def write_csv(folder: Path, *rows: Row, name: str = "manifest.csv") -> Path:
    """With the audio files that the rows name."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    with (folder / name).open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    return with_audio(folder / name, rows)


def write_jsonl(folder: Path, *rows: Row, name: str = "manifest.jsonl") -> Path:
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return with_audio(folder / name, rows)


def with_audio(path: Path, rows: tuple[Row, ...]) -> Path:
    for row in rows:
        if row.get("path"):
            (path.parent / row["path"]).parent.mkdir(parents=True, exist_ok=True)
            (path.parent / row["path"]).touch()
    return path


FULL = {
    "path": "audio/1.flac",
    "emotion": "sad",
    "emotion_orig": "melancholy",
    "text": "Tak, \u201ejest\u201d.",
    "corpus": "toy",
    "lang": "pl",
    "speaker": "toy_a",
    "dialogue": "toy_d",
    "split": "train",
    "fold": "3.0",
    "duration": "1.5",
}


@pytest.mark.parametrize("write", [write_csv, write_jsonl])
def test_a_full_row(tmp_path: Path, write: Callable[..., Path]) -> None:
    assert read_manifest(write(tmp_path, FULL)) == [
        Example(
            corpus="toy",
            key="audio/1.flac",
            emotion="sad",
            emotion_orig="melancholy",
            path=tmp_path / "audio/1.flac",
            words="Tak, \u201ejest\u201d.",
            language="pl",
            speaker="toy_a",
            dialogue="toy_d",
            group="3",
            split="train",
        )
    ]


def test_a_minimal_row(tmp_path: Path) -> None:
    path = write_csv(tmp_path, {"path": "1.wav", "emotion": "hap"}, {"path": "2.wav", "emotion": "calm"})
    first, second = read_manifest(path)
    assert first == Example(
        corpus="manifest", key="1.wav", emotion="happy", emotion_orig="hap", path=tmp_path / "1.wav"
    )
    assert (second.emotion, second.emotion_orig) == ("other", "calm")


def test_text_without_audio(tmp_path: Path) -> None:
    path = write_csv(
        tmp_path, {"text": "First line\nand its second", "emotion": "joy"}, {"text": "No", "emotion": "mad"}
    )
    assert [(e.key, e.words, e.path) for e in read_manifest(path)] == [
        ("manifest.csv:3", "First line\nand its second", None),
        ("manifest.csv:4", "No", None),
    ]


def test_a_folder_with_a_manifest_in_it(tmp_path: Path) -> None:
    write_jsonl(tmp_path, {"text": "No", "emotion": "sad"})
    assert len(read_manifest(tmp_path)) == 1


def test_json_values_of_other_types(tmp_path: Path) -> None:
    line = {"text": "No", "emotion": "sad", "fold": 2, "speaker": None, "session": "Session1"}
    (tmp_path / "m.jsonl").write_text(json.dumps(line) + "\n\n")
    (example,) = read_manifest(tmp_path / "m.jsonl")
    assert (example.group, example.speaker) == ("2", "")


@pytest.mark.parametrize(
    ("cells", "group"),
    [
        ({"fold": "1.0", "session": "Session1"}, "1"),
        ({"group": "left", "fold": "1"}, "left"),
        ({"group": "", "session": "Session4"}, "Session4"),
        ({"fold": "1.5"}, "1.5"),
        ({}, ""),
    ],
)
def test_the_unit_of_cross_validation(tmp_path: Path, cells: Row, group: str) -> None:
    (example,) = read_manifest(write_csv(tmp_path, {"text": "No", "emotion": "sad"} | cells))
    assert example.group == group


def test_duplicates_are_left_out_and_need_no_file(tmp_path: Path) -> None:
    copy = {"path": "2.flac", "emotion": "sad", "dup_of": "1.flac"}
    path = write_csv(tmp_path, {"path": "1.flac", "emotion": "sad", "dup_of": ""}, copy)
    (tmp_path / "2.flac").unlink()
    assert [example.key for example in read_manifest(path)] == ["1.flac"]


def test_other_languages_are_not_read_as_english(tmp_path: Path) -> None:
    (example,) = read_manifest(write_csv(tmp_path, FULL))
    assert example.english == ""


def test_a_validation_split_is_dev(tmp_path: Path) -> None:
    (example,) = read_manifest(write_csv(tmp_path, {"text": "No", "emotion": "sad", "split": "validation"}))
    assert example.split == "dev"


@pytest.mark.parametrize("unit", ["speaker", "dialogue"])
def test_a_leak_between_splits_is_refused(tmp_path: Path, unit: str) -> None:
    rows = [
        {"text": "No", "emotion": "sad", "split": split, unit: name}
        for split, name in (("train", "a"), ("dev", "b"), ("test", "a"))
    ]
    with pytest.raises(CorpusError, match=f"{unit} a is in train and in test"):
        read_manifest(write_csv(tmp_path, *rows))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,speaker\na.flac,a\n", "m.csv: expected a column emotion, got path, speaker: fix the header"),
        ("", "m.csv: expected a column emotion, got nothing"),
        ("text,emotion\nNo,sad\nOh,angyr\n", "m.csv:3: expected one of angry, .*, got 'angyr'"),
        ("text,emotion,emotion_orig\nNo,anger,anger\n", "m.csv:2: expected one of angry, .*, got 'anger'"),
        ("text,emotion,split\nNo,sad,eval\n", "m.csv:2: expected train, dev, test or nothing, got 'eval'"),
        ("path,text,emotion\n,,sad\n", "m.csv:2: expected a path or a text, got neither"),
        ("text,emotion\nWell, no,sad\n", "m.csv:2: expected 2 cells, got 3: quote what holds a comma"),
        (
            "path,emotion\n1.wav,sad\n2.wav,sad\n",
            "a file for each path of .*m.csv, got none for .*/1.wav and 1 more:",
        ),
    ],
)
def test_errors_name_the_row(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "m.csv").write_text(text)
    with pytest.raises(CorpusError, match=message) as caught:
        read_manifest(tmp_path / "m.csv")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("line", ["{", "[]", '{"text": "No"}'])
def test_a_damaged_line_of_json(tmp_path: Path, line: str) -> None:
    (tmp_path / "m.jsonl").write_text('{"text": "No", "emotion": "sad"}\n' + line + "\n")
    with pytest.raises(CorpusError, match=r"m.jsonl:2: expected "):
        read_manifest(tmp_path / "m.jsonl")


def test_no_manifest(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"expected a manifest at .*, got none: give a CSV or JSONL file"):
        read_manifest(tmp_path / "manifest.csv")
