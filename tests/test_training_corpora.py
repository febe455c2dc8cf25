"""Splits are by speaker, copies are left out, and no test speaker was ever heard."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import numpy as np
import pytest

from emostream.models.checkpoint import BUNDLED
from emostream.training.corpora.example import CorpusError
from emostream.training.corpora.manifest import read_manifest
from emostream.training.corpora.texts import read_texts
from emostream.training.preparation.sounds import read_clip, trim
from emostream.training.recipe.provenance import Provenance

from .shared import DATA, manifest, needs_data
from .tiny_emotion import noise

COLUMNS = ["path", "speaker", "emotion", "text", "split", "corpus", "lang", "emotion_orig", "dup_of"]


def write_manifest(folder: Path, *rows: tuple[str, str, str]) -> Path:
    """rows: speaker, split, dup_of."""
    file = folder / "manifest.csv"
    with file.open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(COLUMNS)
        for index, (speaker, split, copy) in enumerate(rows):
            writer.writerow([f"{index}.flac", speaker, "sad", "Tak.", split, "c", "pl", "sadness", copy])
    return file


def test_copies_are_left_out(tmp_path: Path) -> None:
    examples = read_manifest(write_manifest(tmp_path, ("a", "train", ""), ("a", "train", "0.flac")))
    assert [example.key for example in examples] == ["0.flac"]
    assert examples[0].english == ""  # not English: the words' branch must not read it


def test_a_speaker_in_two_splits_is_refused(tmp_path: Path) -> None:
    file = write_manifest(tmp_path, ("a", "train", ""), ("b", "dev", ""), ("a", "test", ""))
    with pytest.raises(CorpusError, match="speaker a stands in train and in test"):
        read_manifest(file)


def test_a_missing_manifest_and_a_missing_column(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="expected a manifest"):
        read_manifest(tmp_path / "manifest.csv")
    (tmp_path / "manifest.csv").write_text("path,speaker\na.flac,a\n")
    with pytest.raises(CorpusError, match="column 'corpus' is missing"):
        read_manifest(tmp_path / "manifest.csv")


def test_lines_that_repeat_melds_held_out_ones_are_dropped(tmp_path: Path) -> None:
    file = tmp_path / "text.csv.gz"
    with gzip.open(file, "wt") as out:
        out.write("corpus,split,text,emotion,emotion_orig,dialogue_id,in_meld_devtest\n")
        out.write(
            "emorynlp,train,hi,happy,joy,d0,0\nemorynlp,train,no,angry,mad,d0,1\nmeld,train,oh,sad,sad,d0,0\n"
        )
    assert [line.words for line in read_texts(file, ["emorynlp"])] == ["hi"]


def test_trimming_keeps_the_loud_stretch_and_its_margins() -> None:
    quiet = np.zeros(16_000, np.float32)
    loud = noise(8000, level=0.5) + np.float32(0.1)
    kept = trim(np.concatenate([quiet, loud, quiet]))
    assert len(kept) == 8000 + 2 * 4000
    assert len(trim(loud)) == len(loud)
    assert len(trim(np.zeros(100, np.float32))) == 100


def test_a_file_that_is_no_sound(tmp_path: Path) -> None:
    (tmp_path / "a.flac").write_text("hello")
    with pytest.raises(CorpusError, match="expected a sound file"):
        read_clip(tmp_path / "a.flac")


@needs_data
def test_the_corpora_at_hand_keep_their_promises() -> None:
    examples = read_manifest(DATA / "manifest.csv")
    assert len(examples) == len(manifest())
    assert {example.split for example in examples} == {"train", "dev", "test"}


def used() -> list[dict[str, str]]:
    with (BUNDLED / "audio_used.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_bundled_weights_say_what_they_heard() -> None:
    stages = {row["stage"] for row in used()}
    assert {"distillation", "fusion", "calibration"} <= stages
    assert {row["split"] for row in used() if row["stage"] in ("distillation", "fusion")} == {"train"}


@needs_data
def test_no_test_speaker_entered_any_stage_of_the_bundled_weights() -> None:
    examples = read_manifest(DATA / "manifest.csv")
    test_speakers = {example.speaker for example in examples if example.split == "test"}
    assert test_speakers
    assert {row["speaker"] for row in used()} & test_speakers == set()


@needs_data
def test_the_digests_are_those_of_the_corpora(tmp_path: Path) -> None:
    """The list cannot have been written by hand: its digests come from the paths themselves."""
    examples = read_manifest(DATA / "manifest.csv")
    provenance = Provenance()
    provenance.add("distillation", [example for example in examples if example.split == "train"])
    provenance.write(tmp_path / "again.csv")
    with (tmp_path / "again.csv").open(newline="") as file:
        again = list(csv.DictReader(file))
    assert again == [row for row in used() if row["stage"] == "distillation"]
