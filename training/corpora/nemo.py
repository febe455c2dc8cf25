"""nEMO (Christop 2024), Polish: `samples/EB0_anger_1.wav` and a line for each in `data.tsv`."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from .csv_reader import CsvRow, read_table
from .example import Example
from .files import check_none_missing, corpus_root, list_files
from .labels import label_of

CORPUS: Final = "nemo"

_COLUMNS: Final = ("file_id", "emotion", "raw_text", "speaker_id")


def read_nemo(root: Path) -> list[Example]:
    """All clips. Nine speakers, ninety sentences, each in six emotions: the words carry no information.

    Raises CorpusError for a missing column, a clip without a line and a line without a clip.
    """
    root = corpus_root(root, "data.tsv", "nEMO, its `data.tsv` and its `samples`")
    table = root / "data.tsv"
    rows = read_table(table, _COLUMNS, delimiter="\t")
    sounds = {path.stem: path for path in list_files(root / "samples", "*.wav")}
    named = {_name(row) for row in rows}
    advice = "clone the repository of the corpus again"
    check_none_missing(named - sounds.keys(), f"an audio file for each line of {table}", advice)
    check_none_missing(sounds.keys() - named, f"a line of {table} for each audio file", advice)
    return [_example(row, sounds[_name(row)]) for row in rows]


def _name(row: CsvRow) -> str:
    return row.cells["file_id"].removesuffix(".wav")


def _example(row: CsvRow, path: Path) -> Example:
    return Example(
        corpus=CORPUS,
        key=f"{CORPUS}/{path.stem}",
        emotion=label_of(row.cells["emotion"], row.where),
        emotion_orig=row.cells["emotion"],
        path=path,
        words=row.cells["raw_text"],
        language="pl",
        speaker=f"{CORPUS}_{row.cells['speaker_id']}",
    )
