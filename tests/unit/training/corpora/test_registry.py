"""The registry of corpora, its checks, and that no test speaker was used for the bundled weights."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emostream.models import LABELS
from emostream.models.checkpoint_files import BUNDLED
from emostream.training.corpora import registry
from emostream.training.corpora.example import CorpusError, Example
from emostream.training.corpora.labels import label_of
from emostream.training.corpora.leakage import CrossCorpusDuplicates, check_disjoint
from emostream.training.corpora.manifest import read_manifest
from emostream.training.corpora.registry import Corpus, read_corpus
from emostream.training.corpora.text_corpus import read_text_corpus
from emostream.training.data.audio_cache import read_clip, trim
from emostream.training.provenance import Provenance
from tests.support.shared import DATA, manifest, needs_data
from tests.support.tiny_emotion import noise


def test_lines_that_repeat_melds_held_out_ones_are_dropped(tmp_path: Path) -> None:
    file = tmp_path / "text.csv.gz"
    with gzip.open(file, "wt") as out:
        out.write("corpus,split,text,emotion,emotion_orig,dialogue_id,in_meld_devtest\n")
        out.write(
            "emorynlp,train,hi,happy,joy,d0,0\nemorynlp,train,no,angry,mad,d0,1\nmeld,train,oh,sad,sad,d0,0\n"
        )
    assert [line.words for line in read_text_corpus(file, ["emorynlp"])] == ["hi"]


def test_trimming_keeps_the_loud_part_and_its_margins() -> None:
    quiet = np.zeros(16_000, np.float32)
    loud = noise(8000, level=0.5) + np.float32(0.1)
    trimmed = trim(np.concatenate([quiet, loud, quiet]))
    assert len(trimmed) == 8000 + 2 * 4000
    assert len(trim(loud)) == len(loud)
    assert len(trim(np.zeros(100, np.float32))) == 100


def test_a_file_that_is_not_audio(tmp_path: Path) -> None:
    (tmp_path / "a.flac").write_text("hello")
    with pytest.raises(CorpusError, match="expected an audio file"):
        read_clip(tmp_path / "a.flac")


def example(key: str, speaker: str = "", dialogue: str = "", split: str = "") -> Example:
    return Example(
        corpus="c",
        key=key,
        emotion="sad",
        emotion_orig="sad",
        words="No.",
        speaker=speaker,
        dialogue=dialogue,
        split=split,
    )


def test_a_speaker_or_a_dialogue_on_both_sides_is_refused() -> None:
    one, two = example("1", speaker="a", dialogue="d"), example("2", speaker="b", dialogue="d")
    with pytest.raises(CorpusError, match="dialogue d is in train and in test: expected dialogue-disjoint"):
        check_disjoint({"train": [one], "test": [two]})
    check_disjoint({"train": [one], "test": [two]}, units=["speaker"])
    check_disjoint({"train": [example("3")], "test": [example("4")]})  # without speakers


LINE = "It's what I have always wanted!"


def line_of(corpus: str, words: str = LINE, **fields: Any) -> Example:
    """A line of a dialogue."""
    chosen = {"dialogue": f"{corpus}_1"} | fields
    return Example(
        corpus=corpus, key=f"{corpus}/{words}", emotion="sad", emotion_orig="", words=words, **chosen
    )


SOUND: dict[str, Any] = {"path": Path("1.wav"), "dialogue": ""}


@pytest.mark.parametrize(
    ("candidate", "tested", "kept"),
    [
        (line_of("emorynlp", "It's what I have always wanted..."), line_of("meld"), False),
        (line_of("emorynlp", path=Path("1.wav")), line_of("meld", path=Path("2.wav")), False),
        (line_of("goemotions", dialogue=""), line_of("meld"), False),
        (line_of("nemo", "Drzwi.", path=Path("1.wav"), paired=LINE), line_of("meld"), False),
        (line_of("emorynlp", "It's what I always wanted!"), line_of("meld"), True),
        (
            line_of("emorynlp", "I have always wanted this."),
            line_of("meld", "I have always wanted this."),
            True,
        ),
        (line_of("meld"), line_of("meld", "it's what I have always wanted"), True),
        (line_of("ravdess", **SOUND), line_of("crema-d", **SOUND), True),
        (line_of("ravdess", **SOUND), line_of("meld"), True),
        (line_of("nemo", path=Path("1.wav"), paired="She went out an hour ago."), line_of("meld"), True),
    ],
    ids=[
        "two corpora, one line",
        "with their sounds",
        "written and spoken",
        "paired with it",
        "another line",
        "five words",
        "one corpus says it twice",
        "a fixed sentence in two corpora",
        "a fixed sentence and a line",
        "its own words are not read",
    ],
)
def test_lines_that_another_corpus_is_tested_on_are_removed(
    candidate: Example, tested: Example, kept: bool
) -> None:
    other = line_of("emorynlp", "We were on a break, you know!")
    remaining = CrossCorpusDuplicates([candidate, other, tested]).without([candidate, other], [tested])
    assert remaining == ([candidate, other] if kept else [other])


def test_an_unknown_corpus(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"expected a corpus out of iemocap, meld, .*, got 'iemokap'"):
        read_corpus("iemokap", tmp_path)


@pytest.mark.parametrize(
    ("examples", "message"),
    [
        ([], "expected utterances of toy in .*, got none"),
        ([example("1"), example("2"), example("1")], "expected every utterance of toy once, got 1 2 times"),
        (
            [example("1", speaker="a", split="train"), example("2", speaker="a", split="dev")],
            "speaker a is in train and in dev",
        ),
        (
            [example("1", dialogue="d", split="train"), example("2", dialogue="d", split="dev")],
            None,
        ),
    ],
)
def test_invalid_corpora_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, examples: list[Example], message: str | None
) -> None:
    """Splits are checked for what the corpus promises: this one, speaker-disjoint splits."""
    toy = Corpus(read=lambda root: examples, disjoint=("speaker",))
    monkeypatch.setattr(registry, "CORPORA", {"toy": toy})
    if message is None:
        assert read_corpus("toy", tmp_path) == examples
        return
    with pytest.raises(CorpusError, match=message):
        read_corpus("toy", tmp_path)


@pytest.mark.parametrize(
    ("name", "inside"),
    [
        ("crema-d", "AudioWAV"),
        ("ravdess", r"Actor_\*"),
        ("emodb", "wav"),
        ("esd", "00"),
        ("nemo", "data.tsv"),
        ("meld", "train_sent_emo.csv"),
        ("emorynlp", "emotion-detection-trn.json"),
        ("goemotions", "emotions.txt"),
        ("dailydialog", "dialogues_train.txt"),
        ("manifest", "manifest.csv"),
        ("label-matched", "manifest.csv"),
    ],
)
def test_a_folder_of_another_corpus(tmp_path: Path, name: str, inside: str) -> None:
    for root in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(CorpusError, match=f"expected .*{inside}") as caught:
            read_corpus(name, root)
        assert str(root) in str(caught.value)


@pytest.mark.parametrize(
    ("name", "label"),
    [("Anger", "angry"), ("exc", "happy"), ("No Emotion", "neutral"), (" sadness", "sad"), ("calm", "other")],
)
def test_emotions_have_many_names(name: str, label: str) -> None:
    assert label_of(name, "here") == label


def test_an_unknown_emotion_name() -> None:
    with pytest.raises(CorpusError, match=r"a.csv:7: expected one of angry, .*, other or .*, got 'angyr'"):
        label_of("angyr", "a.csv:7")


@needs_data
def test_the_shared_corpora_have_disjoint_splits() -> None:
    examples = read_corpus("manifest", DATA)
    assert len(examples) == len(manifest())
    assert {example.split for example in examples} == {"train", "dev", "test"}
    assert {example.group for example in examples} == {"", "1", "2", "3", "4", "5", "6"}


def used() -> list[dict[str, str]]:
    with (BUNDLED / "audio_used.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_bundled_weights_list_their_training_data() -> None:
    stages = {row["stage"] for row in used()}
    learned = {"distillation", "head and fusion"}
    assert stages == learned | {"distillation, validation loss only", "calibration"}
    assert {row["split"] for row in used() if row["stage"] in learned} == {"train"}
    assert not [row for row in used() if row["stage"].startswith("distil") and row["corpus"] == "ravdess"]


@pytest.mark.long
@needs_data
def test_no_test_speaker_was_used_in_any_stage_of_the_bundled_weights() -> None:
    examples = read_manifest(DATA / "manifest.csv")
    test_speakers = {example.speaker for example in examples if example.split == "test"}
    assert test_speakers
    assert {row["speaker"] for row in used()} & test_speakers == set()


@needs_data
def test_the_digests_are_those_of_the_corpora(tmp_path: Path) -> None:
    """The list cannot have been written by hand: its digests come from the paths themselves."""
    examples = read_manifest(DATA / "manifest.csv")
    provenance = Provenance()
    train = [example for example in examples if example.split == "train"]
    provenance.add("distillation", [example for example in train if example.corpus == "nemo"])
    provenance.add("head and fusion", [example for example in train if example.emotion in LABELS])
    provenance.write(tmp_path / "again.csv")
    with (tmp_path / "again.csv").open(newline="") as file:
        again = list(csv.DictReader(file))
    # The recipe adds corpora of other manifests.
    of_manifest = {(example.corpus, example.speaker) for example in examples}
    learned = [row for row in used() if row["stage"] in ("distillation", "head and fusion")]
    assert again == [row for row in learned if (row["corpus"], row["speaker"]) in of_manifest]
