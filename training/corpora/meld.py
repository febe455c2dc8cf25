"""MELD (Poria et al. 2019): dialogues of *Friends*, their words and, if downloaded, their videos.

`train_sent_emo.csv`, `dev_sent_emo.csv` and `test_sent_emo.csv`, anywhere up to two folders deep, and beside
them `train_splits/dia0_utt0.mp4`, `dev_splits_complete` and `output_repeated_splits_test`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from .csv_reader import CsvRow, read_table
from .example import CorpusError, Example
from .files import check_none_missing, find_path
from .labels import label_of
from .text_corpus import drop_wordless, fix_encoding

CORPUS: Final = "meld"

_VIDEOS: Final = {
    "train": "train_splits",
    "dev": "dev_splits_complete",
    "test": "output_repeated_splits_test",
}
_COLUMNS: Final = ("Utterance", "Speaker", "Emotion", "Dialogue_ID", "Utterance_ID")

_BROKEN: Final = frozenset({("train", "dia125_utt3"), ("dev", "dia110_utt7")})
"""The release has no readable video of these two."""
_UNPACK: Final = "unpack the videos again, or move all of them away to read the text only"


def read_meld(root: Path) -> list[Example]:
    """All lines with their videos as audio; without any videos, the text of the lines with a word in them.

    The six friends are in all three splits: these are dialogue-disjoint, not speaker-disjoint.
    Raises CorpusError for a missing table, and for missing videos where there are others.
    """
    videos = {split: find_path(root, folder) for split, folder in _VIDEOS.items()}
    if any(videos.values()):
        missing = (_VIDEOS[split] for split, folder in videos.items() if folder is None)
        check_none_missing(missing, f"a folder of videos in {root} for each split", _UNPACK)
    return [example for split, folder in videos.items() for example in _read_split(root, split, folder)]


def _read_split(root: Path, split: str, videos: Path | None) -> list[Example]:
    table = find_path(root, f"{split}_sent_emo.csv")
    if table is None:
        raise CorpusError(
            f"expected MELD with {split}_sent_emo.csv in it, got {root}: give the folder of the tables"
        )
    rows = read_table(table, _COLUMNS, encodings=("utf-8-sig", "cp1252"))
    if videos is None:
        return drop_wordless(_example(row, split, None) for row in rows)
    rows = [row for row in rows if (split, _name(row)) not in _BROKEN]
    check_none_missing(
        (_name(row) for row in rows if not (videos / f"{_name(row)}.mp4").is_file()),
        f"a video in {videos} for each line of {table}",
        _UNPACK,
    )
    return [_example(row, split, videos / f"{_name(row)}.mp4") for row in rows]


def _name(row: CsvRow) -> str:
    return f"dia{row.cells['Dialogue_ID']}_utt{row.cells['Utterance_ID']}"


def _example(row: CsvRow, split: str, video: Path | None) -> Example:
    return Example(
        corpus=CORPUS,
        key=f"{CORPUS}/{split}/{_name(row)}",
        emotion=label_of(row.cells["Emotion"], row.where),
        emotion_orig=row.cells["Emotion"],
        path=video,
        words=fix_encoding(row.cells["Utterance"]),
        speaker=f"{CORPUS}_{fix_encoding(row.cells['Speaker'])}",
        # The numbers restart in every split.
        dialogue=f"{CORPUS}_{split}_dia{row.cells['Dialogue_ID']}",
        split=split,
    )
