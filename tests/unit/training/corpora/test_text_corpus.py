"""The readers of the text corpora, in the files that their authors publish."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from emostream.training.corpora.dailydialog import read_dailydialog
from emostream.training.corpora.example import CorpusError, Example
from emostream.training.corpora.goemotions import read_goemotions
from emostream.training.corpora.labels import label_of
from emostream.training.corpora.meld import read_meld
from emostream.training.corpora.registry import read_corpus
from emostream.training.corpora.text_corpus import fix_encoding, read_text_corpus
from tests.support.corpus_trees import write_lines
from tests.support.shared import DATA, needs_data
from tests.support.text_trees import (
    dailydialog_tree,
    emorynlp_csv_tree,
    emorynlp_json_tree,
    goemotions_tree,
    meld_tree,
)


def test_meld_without_videos_is_text_only(tmp_path: Path) -> None:
    examples = read_meld(meld_tree(tmp_path))
    assert examples[0] == Example(
        corpus="meld",
        key="meld/train/dia0_utt0",
        emotion="sad",
        emotion_orig="sadness",
        words="Oh my God, he\u2019s lost it.",
        speaker="meld_Phoebe",
        dialogue="meld_train_dia0",
        split="train",
    )
    assert [example.emotion for example in examples if example.split == "dev"] == [
        "sad",
        "other",
        "happy",
        "angry",
        "angry",
    ]  # `...` is left out


def test_meld_with_videos_has_their_audio(tmp_path: Path) -> None:
    """The release's two broken videos are left out, the one with the text `...` is not."""
    examples = read_meld(meld_tree(tmp_path, videos=True))
    assert [len([e for e in examples if e.split == split]) for split in ("train", "dev", "test")] == [5, 5, 5]
    assert examples[5].path == tmp_path / "dev_splits_complete/dia0_utt0.mp4"
    assert "..." in {example.words for example in examples}


def test_meld_with_folders_inside_folders(tmp_path: Path) -> None:
    """As MELD.Raw unpacks: the training table is beside its videos, a folder deeper."""
    meld_tree(tmp_path, videos=True)
    (tmp_path / "train").mkdir()
    for name in ("train_sent_emo.csv", "train_splits"):
        (tmp_path / name).rename(tmp_path / "train" / name)
    assert len(read_meld(tmp_path)) == 15


def test_meld_with_some_of_its_videos(tmp_path: Path) -> None:
    meld_tree(tmp_path, videos=True)
    (tmp_path / "output_repeated_splits_test/dia1_utt1.mp4").unlink()
    with pytest.raises(CorpusError, match=r"a video in .* for each line of .*, got none for dia1_utt1:"):
        read_meld(tmp_path)
    (tmp_path / "train_splits").rename(tmp_path / "elsewhere")
    with pytest.raises(CorpusError, match=r"a folder of videos .*, got none for train_splits: unpack"):
        read_meld(tmp_path)


@pytest.mark.parametrize(
    ("broken", "repaired"),
    [
        ("I\x92m sorry", "I\u2019m sorry"),  # Windows-1252 kept byte by byte
        ("I\u00e2\u20ac\u2122m sorry", "I\u2019m sorry"),  # UTF-8 read as Windows-1252
        ("fianc\u00c3\u00a9", "fianc\u00e9"),
        ("\u00c2\u00bfQu\u00c3\u00a9?", "\u00bfQu\u00e9?"),
        ("fianc\u00e9, na\u00efve \u2026", "fianc\u00e9, na\u00efve \u2026"),
        ("\u00c3\u00a9 \u6253", "\u00c3\u00a9 \u6253"),  # no Windows-1252 at all: left alone
    ],
)
def test_encoding_errors_are_repaired(broken: str, repaired: str) -> None:
    assert fix_encoding(broken) == repaired


@pytest.mark.parametrize("tree", [emorynlp_json_tree, emorynlp_csv_tree])
def test_both_editions_of_emorynlp(tmp_path: Path, tree: Callable[[Path], Path]) -> None:
    examples = read_corpus("emorynlp", tree(tmp_path))
    assert examples[1] == Example(
        corpus="emorynlp",
        key="emorynlp/s1e2_1_3",
        emotion="angry",
        emotion_orig="Mad",
        words="You cuddled!",
        speaker="emorynlp_Joey Tribbiani and Rachel's father",
        dialogue="emorynlp_s1e2_1",
        split="train",
    )
    assert [(e.emotion, e.split) for e in examples[3:6]] == [
        ("neutral", "dev"),
        ("angry", "dev"),
        ("other", "dev"),
    ]


def test_a_scene_of_emorynlp_in_two_splits_is_refused(tmp_path: Path) -> None:
    emorynlp_csv_tree(tmp_path)
    text = (tmp_path / "emorynlp_dev_final.csv").read_text().replace(",1,1,1,15,", ",1,9,1,2,")
    (tmp_path / "emorynlp_dev_final.csv").write_text(text)
    with pytest.raises(CorpusError, match="dialogue emorynlp_s1e2_1 is in train and in dev"):
        read_corpus("emorynlp", tmp_path)


COMMENTS = {
    "Thanks!": (["gratitude"], "other"),
    "I hate this": (["anger", "annoyance"], "angry"),
    "Ha, so funny": (["joy", "amusement"], "happy"),
    "My dog died.": (["grief"], "sad"),
    "It is what it is": (["neutral"], "neutral"),
    "Hm, no": (["annoyance", "neutral"], "other"),
    'He said "no". ""Why""?': (["disappointment", "remorse"], "sad"),
}


def test_goemotions_has_a_label_only_if_all_emotions_agree(tmp_path: Path) -> None:
    comments = {text: emotions for text, (emotions, _) in COMMENTS.items()} | {"...": ["joy"]}
    goemotions_tree(tmp_path / "goemotions/data", comments)
    examples = read_goemotions(tmp_path / "goemotions")
    assert {e.words: e.emotion for e in examples} == {text: label for text, (_, label) in COMMENTS.items()}
    assert [e.split for e in examples] == [split for split in ("train", "dev", "test") for _ in COMMENTS]
    assert {e.emotion_orig for e in examples if e.words == "Hm, no"} == {"annoyance|neutral"}


@needs_data
def test_goemotions_labels_are_those_of_the_shared_table(tmp_path: Path) -> None:
    table = read_text_corpus(DATA / "text.csv.gz", ["goemotions"])
    labels = {line.emotion_orig: line.emotion for line in table}
    goemotions_tree(tmp_path, {f"comment on {names}": names.split("|") for names in labels})
    assert {e.emotion_orig: e.emotion for e in read_goemotions(tmp_path)} == labels


@needs_data
def test_emotions_of_the_shared_table_have_the_labels_that_it_gives_them() -> None:
    lines = read_text_corpus(DATA / "text.csv.gz", ["meld", "emorynlp", "dailydialog_reccon"])
    names = {(line.emotion_orig, line.emotion) for line in lines} - {
        ("happines", "other")
    }  # a misprint of the table
    assert len(names) > 18
    assert {(name, label_of(name, "the table")) for name, _ in names} == names


def test_dailydialog(tmp_path: Path) -> None:
    examples = read_corpus("dailydialog", dailydialog_tree(tmp_path))
    assert examples[1] == Example(
        corpus="dailydialog",
        key="dailydialog/train:1.1",
        emotion="happy",
        emotion_orig="happiness",
        words="You know that is tempting .",
        speaker="dailydialog_train_1_B",
        dialogue="dailydialog_train_1",
        split="train",
    )
    assert [e.emotion for e in examples[:4]] == ["neutral", "happy", "angry", "sad"]  # `!` is left out
    assert {e.split for e in examples} == {"train", "dev", "test"}


@pytest.mark.parametrize(
    ("name", "lines", "message"),
    [
        (
            "dailydialog",
            {"test/dialogues_emotion_test.txt": ["0 4 0", "1"]},
            "_test.txt:2: expected 2 numbers",
        ),
        (
            "dailydialog",
            {"test/dialogues_emotion_test.txt": ["0 4 7", "1 5"]},
            "test.txt:1: expected 3 numbers",
        ),
        (
            "dailydialog",
            {"test/dialogues_emotion_test.txt": ["0 4 0"]},
            "expected as many lines in .*, got 2, 3",
        ),
        ("goemotions", {"dev.tsv": ["Thanks!\t28\tx"]}, "dev.tsv:1: expected text, numbers of emotions.txt"),
        ("goemotions", {"dev.tsv": ["no tabs"]}, "dev.tsv:1: expected text, numbers of emotions.txt"),
        ("emorynlp", {"emotion-detection-dev.json": ["{"]}, "dev.json: expected episodes of scenes"),
        ("emorynlp", {"emotion-detection-dev.json": ["[]"]}, "dev.json: expected episodes of scenes"),
        ("meld", {"dev_sent_emo.csv": ["Utterance,Speaker"]}, "dev_sent_emo.csv: expected a column Emotion"),
    ],
)
def test_damaged_files_are_named(
    tmp_path: Path, name: str, lines: dict[str, list[str]], message: str
) -> None:
    dailydialog_tree(tmp_path)
    goemotions_tree(tmp_path, {"Thanks!": ["gratitude"]})
    emorynlp_json_tree(tmp_path)
    meld_tree(tmp_path)
    for file, content in lines.items():
        write_lines(tmp_path / file, content)
    with pytest.raises(CorpusError, match=message) as caught:
        read_corpus(name, tmp_path)
    assert "\n" not in str(caught.value)


def test_dailydialog_needs_both_files(tmp_path: Path) -> None:
    dailydialog_tree(tmp_path)
    (tmp_path / "validation/dialogues_emotion_validation.txt").unlink()
    with pytest.raises(CorpusError, match=r"dialogues_emotion_validation\.txt in it, got"):
        read_dailydialog(tmp_path)


def test_the_shared_table_damaged(tmp_path: Path) -> None:
    file = tmp_path / "text.csv.gz"
    table = gzip.compress(b"corpus,split,text,emotion\nmeld,train,hi,happy\n")
    for content, message in (
        (b"no gzip", "expected the text corpora at .*, got Not a gzipped file"),
        (table[:-9], "expected the text corpora at .*, got Compressed file ended"),
        (table, "expected a column in_meld_devtest, got none"),
    ):
        file.write_bytes(content)
        with pytest.raises(CorpusError, match=message):
            read_text_corpus(file, ["meld"])
