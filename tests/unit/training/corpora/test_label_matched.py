"""Clips and texts paired by label: speaker-disjoint splits are dialogue- and text-disjoint too."""

from __future__ import annotations

import csv
import gzip
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest

from emostream.models.text_normalization import normalize_text
from emostream.training.corpora.example import OTHER, CorpusError, Example
from emostream.training.corpora.label_matched import FOLDS, assign_folds, read_label_matched
from emostream.training.corpora.leakage import check_disjoint
from emostream.training.corpora.manifest import read_manifest
from emostream.training.corpora.registry import read_corpus
from emostream.training.corpora.text_corpus import read_text_corpus
from tests.support.shared import DATA, needs_data

LABELS = ("angry", "happy", "sad", "neutral")
SENTENCES = ("Kids are talking by the door.", "Dogs are sitting by the door.")


def write_clips(root: Path, speakers: Iterable[str], takes: int = 3) -> None:
    """Every speaker: each sentence `takes` times in each label, and one clip of another emotion."""
    header = ["path", "speaker", "emotion", "emotion_orig", "text", "fold"]
    with (root / "manifest.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        for place, speaker in enumerate(speakers):
            for label in (*LABELS, OTHER):
                for take in range(takes * len(SENTENCES) if label != OTHER else 1):
                    name = f"{speaker}_{label}_{take}.wav"
                    fold = f"{place + 1}.0" if place < 2 else ""
                    writer.writerow([name, speaker, label, label, SENTENCES[take % 2], fold])
                    (root / name).touch()


def write_texts(root: Path, dialogues: int, *, labels: Iterable[str] = LABELS, same: bool = False) -> None:
    """Each dialogue: a line of each label and one of another, all of them different unless `same`."""
    lines = ["corpus,split,text,emotion,emotion_orig,dialogue_id,in_meld_devtest"]
    for dialogue in range(dialogues):
        for label in (*labels, OTHER):
            words = "What?" if same else f"line {dialogue} {label}"
            lines.append(f"meld,train,{words},{label},{label},dia{dialogue},0")
    lines.append("emorynlp,train,not from meld,sad,Sad,s1e1,0")
    with gzip.open(root / "text.csv.gz", "wt", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")


def write(root: Path, speakers: int, dialogues: int) -> Path:
    write_clips(root, [f"s{number}" for number in range(speakers)])
    write_texts(root, dialogues)
    return root


def test_every_clip_gets_a_text_of_its_label(tmp_path: Path) -> None:
    pairs = read_label_matched(write(tmp_path, speakers=3, dialogues=30))
    assert len(pairs) == 3 * 4 * 6
    assert all(pair.paired.endswith(pair.emotion) for pair in pairs)
    assert all(pair.paired.startswith(f"line {pair.dialogue.removeprefix('meld_dia')} ") for pair in pairs)
    assert {pair.words for pair in pairs} == set(SENTENCES)  # the spoken words are kept


def test_dialogues_belong_to_one_speaker_and_texts_are_used_once(tmp_path: Path) -> None:
    pairs = read_label_matched(write(tmp_path, speakers=5, dialogues=12))
    owners: dict[str, set[str]] = {}
    for pair in pairs:
        owners.setdefault(pair.dialogue, set()).add(pair.speaker)
    assert all(len(speakers) == 1 for speakers in owners.values())
    assert max(Counter(pair.paired for pair in pairs).values()) == 1


def test_too_few_texts_are_distributed_evenly(tmp_path: Path) -> None:
    """Twelve dialogues, four speakers who need six texts of each label: three each, of both sentences."""
    pairs = read_label_matched(write(tmp_path, speakers=4, dialogues=12))
    cells = Counter((pair.speaker, pair.emotion) for pair in pairs)
    assert cells == {(f"s{number}", label): 3 for number in range(4) for label in LABELS}
    sentences = Counter((pair.speaker, pair.emotion, pair.words) for pair in pairs)
    assert set(sentences.values()) == {1, 2}


def test_a_label_without_texts_has_no_clips(tmp_path: Path) -> None:
    write_clips(tmp_path, ["a"])
    write_texts(tmp_path, 20, labels=("angry", "happy"))
    assert {pair.emotion for pair in read_label_matched(tmp_path)} == {"angry", "happy"}


def test_lines_with_equal_words_are_one_text(tmp_path: Path) -> None:
    write_clips(tmp_path, ["a", "b"])
    write_texts(tmp_path, 20, same=True)
    assert len(read_label_matched(tmp_path)) == 1


def test_the_assignment_depends_on_the_seed(tmp_path: Path) -> None:
    write(tmp_path, speakers=3, dialogues=30)
    assert read_label_matched(tmp_path, seed=1) == read_label_matched(tmp_path, seed=1)
    assert read_label_matched(tmp_path, seed=1) != read_label_matched(tmp_path, seed=2)


def clips(**counts: tuple[int, str]) -> list[Example]:
    """speaker -> clips and their fold."""
    return [
        Example(
            corpus="c", key=f"{speaker}{n}", emotion="sad", emotion_orig="sad", speaker=speaker, group=fold
        )
        for speaker, (count, fold) in counts.items()
        for n in range(count)
    ]


def test_speakers_without_a_fold_fill_the_emptiest() -> None:
    homeless = clips(a=(4, "1"), b=(1, "2"), c=(5, ""), d=(9, ""), e=(2, ""), f=(2, ""), g=(1, ""), h=(1, ""))
    assert assign_folds(homeless) == {
        "a": "1",
        "b": "2",
        "d": "3",
        "c": "4",
        "e": "5",
        "f": "6",
        "g": "2",
        "h": "2",
    }


def test_without_the_texts(tmp_path: Path) -> None:
    write_clips(tmp_path, ["a"])
    with pytest.raises(CorpusError, match=r"expected the text corpora at .*text.csv.gz"):
        read_label_matched(tmp_path)


@needs_data
def test_the_shared_corpora() -> None:
    pairs = read_corpus("label-matched", DATA)
    texts = read_text_corpus(DATA / "text.csv.gz", ["meld"])
    assert {pair.speaker for pair in pairs} == {e.speaker for e in read_manifest(DATA / "manifest.csv")}
    assert {pair.emotion for pair in pairs} == set(LABELS)
    labels = {(line.dialogue, line.words, line.emotion) for line in texts}
    assert {(pair.dialogue, pair.paired, pair.emotion) for pair in pairs} <= labels
    assert len({normalize_text(pair.paired) for pair in pairs}) == len(pairs) > 3600
    assert min(Counter(pair.speaker for pair in pairs).values()) >= 24


@needs_data
def test_the_folds_of_the_shared_corpora_are_disjoint() -> None:
    pairs = read_corpus("label-matched", DATA)
    folds = {fold: [pair for pair in pairs if pair.group == fold] for fold in FOLDS}
    check_disjoint(folds)
    own = {e.speaker: e.group for e in read_manifest(DATA / "manifest.csv") if e.corpus == "ravdess"}
    assert {pair.speaker: pair.group for pair in pairs if pair.corpus == "ravdess"} == own
    sizes = [len(fold) for fold in folds.values()]
    assert sum(sizes) == len(pairs)
    assert min(sizes) > 400
