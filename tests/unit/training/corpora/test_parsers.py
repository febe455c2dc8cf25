"""The readers of the acted corpora, each with its own file names and tables."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from emostream.training.corpora.crema_d import read_crema_d
from emostream.training.corpora.emodb import read_emodb
from emostream.training.corpora.esd import read_esd
from emostream.training.corpora.example import CorpusError, Example
from emostream.training.corpora.nemo import read_nemo
from emostream.training.corpora.ravdess import FOLD_OF_ACTOR, read_ravdess
from emostream.training.corpora.registry import read_corpus
from tests.support.shared import manifest, needs_data
from tests.support.speech_trees import ESD_WORDS, crema_d_tree, emodb_tree, esd_tree, nemo_tree, ravdess_tree


def by_key(examples: list[Example]) -> dict[str, Example]:
    return {example.key: example for example in examples}


def test_crema_d(tmp_path: Path) -> None:
    examples = by_key(read_crema_d(crema_d_tree(tmp_path)))
    assert examples["crema-d/1001_DFA_ANG_XX"] == Example(
        corpus="crema-d",
        key="crema-d/1001_DFA_ANG_XX",
        emotion="angry",
        emotion_orig="anger",
        path=tmp_path / "AudioWAV/1001_DFA_ANG_XX.wav",
        words="Don't forget a jacket.",
        speaker="crema-d_1001",
    )
    assert examples["crema-d/1001_TIE_DIS_XX"].emotion == "other"
    assert examples["crema-d/1040_ITH_SAD_X"].speaker == "crema-d_1040"  # the release's one odd name
    assert "crema-d/1076_MTI_SAD_XX" not in examples  # which is silent


def test_ravdess(tmp_path: Path) -> None:
    examples = by_key(read_ravdess(ravdess_tree(tmp_path / "Audio_Speech_Actors_01-24").parent))
    assert examples["ravdess/03-01-05-01-02-01-07"] == Example(
        corpus="ravdess",
        key="ravdess/03-01-05-01-02-01-07",
        emotion="angry",
        emotion_orig="angry",
        path=tmp_path / "Audio_Speech_Actors_01-24/Actor_07/03-01-05-01-02-01-07.wav",
        words="Dogs are sitting by the door.",
        speaker="ravdess_07",
        group="4",
    )
    assert not any(key.startswith("ravdess/03-02") for key in examples)  # songs
    assert "ravdess/03-01-03-01-02-02-07" not in examples  # a copy of ...-01-07
    assert len(examples) == 16


@needs_data
def test_ravdess_agrees_with_the_manifest(tmp_path: Path) -> None:
    """All names of the corpus: labels, words, folds and the copy left out are those of the table."""
    rows = manifest(corpus="ravdess")
    for name in [*(Path(row["path"]).stem for row in rows), "03-01-03-01-02-02-07"]:
        path = tmp_path / f"Actor_{name[-2:]}" / f"{name}.wav"
        path.parent.mkdir(exist_ok=True)
        path.touch()
    examples = read_ravdess(tmp_path)
    expected = {
        (
            Path(r["path"]).stem,
            r["emotion"],
            r["emotion_orig"],
            r["text"],
            r["speaker"],
            f"{float(r['fold']):.0f}",
        )
        for r in rows
    }
    got = {(e.audio_path.stem, e.emotion, e.emotion_orig, e.words, e.speaker, e.group) for e in examples}
    assert got == expected
    assert len(examples) == 1439


def test_the_folds_of_ravdess_hold_four_actors_each() -> None:
    assert sorted(FOLD_OF_ACTOR) == [f"{actor:02d}" for actor in range(1, 25)]
    assert sorted(FOLD_OF_ACTOR.values()) == [fold for fold in "123456" for _ in range(4)]


def test_emodb(tmp_path: Path) -> None:
    examples = by_key(read_emodb(emodb_tree(tmp_path)))
    assert examples["emodb/03a02Wc"] == Example(
        corpus="emodb",
        key="emodb/03a02Wc",
        emotion="angry",
        emotion_orig="anger",
        path=tmp_path / "wav/03a02Wc.wav",
        words="Das will sie am Mittwoch abgeben.",
        language="de",
        speaker="emodb_03",
    )
    letters = {key[-2]: example.emotion for key, example in examples.items()}
    assert letters == {"F": "happy", "W": "angry", "T": "sad", "N": "neutral", "L": "other"}


@pytest.mark.parametrize("official_splits", [False, True])
def test_esd(tmp_path: Path, official_splits: bool) -> None:
    examples = by_key(read_esd(esd_tree(tmp_path, official_splits=official_splits)))
    folder = tmp_path / "0011/Angry" / ("train" if official_splits else "")
    assert examples["esd/0011_000351"] == Example(
        corpus="esd",
        key="esd/0011_000351",
        emotion="angry",
        emotion_orig="angry",
        path=folder / "0011_000351.wav",
        words="The nine the eggs, I keep.",
        speaker="esd_0011",
        split="train" if official_splits else "",
    )
    assert examples["esd/0003_000701"].language == "zh"
    assert examples["esd/0003_000701"].split == ("dev" if official_splits else "")
    assert examples["esd/0003_001401"].emotion == "other"
    assert examples["esd/0003_001401"].words == ""  # the speaker's text has no line of it


@pytest.mark.parametrize("speaker", list(ESD_WORDS))
def test_the_text_files_of_esd_have_many_encodings(tmp_path: Path, speaker: str) -> None:
    """And some lines have a space in place of the first tab."""
    examples = by_key(read_esd(esd_tree(tmp_path)))
    assert examples[f"esd/{speaker}_000351"].words == ESD_WORDS[speaker][0]
    assert examples[f"esd/{speaker}_000701"].words == ESD_WORDS[speaker][0]


def test_the_splits_of_esd_are_not_speaker_disjoint(tmp_path: Path) -> None:
    assert {example.split for example in read_corpus("esd", esd_tree(tmp_path, official_splits=True))} == {
        "train",
        "dev",
        "test",
    }


def test_nemo(tmp_path: Path) -> None:
    examples = by_key(read_nemo(nemo_tree(tmp_path)))
    assert examples["nemo/WR0_happiness_38"] == Example(
        corpus="nemo",
        key="nemo/WR0_happiness_38",
        emotion="happy",
        emotion_orig="happiness",
        path=tmp_path / "samples/WR0_happiness_38.wav",
        words="„Ród smoka” to serial telewizyjny.",
        language="pl",
        speaker="nemo_WR0",
    )
    assert len(examples) == 10


def touch(name: str) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()

    return change


def drop(name: str) -> Callable[[Path], None]:
    return lambda root: (root / name).unlink()


@pytest.mark.parametrize(
    ("tree", "read", "change", "complaint"),
    [
        (
            crema_d_tree,
            read_crema_d,
            touch("AudioWAV/copy of 1.wav"),
            "such as 1001_DFA_ANG_XX.wav, got .*copy of",
        ),
        (
            ravdess_tree,
            read_ravdess,
            touch("Actor_01/03-01-09-01-01-01-01.wav"),
            "such as .*, got .*03-01-09",
        ),
        (
            ravdess_tree,
            read_ravdess,
            touch("Actor_00/03-01-01-01-01-01-00.wav"),
            "such as .*, got .*Actor_00",
        ),
        (emodb_tree, read_emodb, touch("wav/03a03Fa.wav"), "such as 03a01Fa.wav, got .*03a03Fa"),
        (esd_tree, read_esd, touch("0011/Bored/0011_000001.wav"), None),
        (
            esd_tree,
            read_esd,
            touch("0011/Anxious/0011_000001.wav"),
            "0011/Anxious: expected one of .*'Anxious'",
        ),
        (esd_tree, read_esd, drop("0012/0012.txt"), "expected a text file, got .*0012.txt"),
        (
            nemo_tree,
            read_nemo,
            drop("samples/EB0_fear_1.wav"),
            "an audio file for each line .*, got none for EB0_fear_1:",
        ),
        (
            nemo_tree,
            read_nemo,
            touch("samples/XX0_fear_1.wav"),
            "a line of .* for each audio file, got none for XX0_f",
        ),
        (nemo_tree, read_nemo, touch("samples/._EB0_fear_1.wav"), None),
    ],
)
def test_unexpected_and_missing_files_are_named(
    tmp_path: Path,
    tree: Callable[[Path], Path],
    read: Callable[[Path], list[Example]],
    change: Callable[[Path], None],
    complaint: str | None,
) -> None:
    change(tree(tmp_path))
    if complaint is None:
        assert read(tmp_path)
        return
    with pytest.raises(CorpusError, match=complaint) as caught:
        read(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_parent_folder_and_macos_hidden_files(tmp_path: Path) -> None:
    shutil.move(crema_d_tree(tmp_path / "inside"), tmp_path / "CREMA-D-master")
    (tmp_path / "._CREMA-D-master").mkdir()
    (tmp_path / "CREMA-D-master/AudioWAV/._1001_DFA_ANG_XX.wav").write_bytes(b"\0\5\x16\7")
    assert len(read_crema_d(tmp_path)) == 5
