"""`text.csv.gz`: the text corpora of one table."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterable
from pathlib import Path

from emostream.models.wording import spoken

from .example import CorpusError, Example


def read_texts(path: Path, corpora: Iterable[str]) -> list[Example]:
    """The lines of the named corpora, less those that repeat MELD's dev or test lines.

    A line without a word in it (`...`) is nothing to read, and no transcriber writes it: left out too.
    """
    wanted = set(corpora)
    try:
        with gzip.open(path, "rt", newline="", encoding="utf-8") as file:
            return [
                _example(row, number)
                for number, row in enumerate(csv.DictReader(file), start=2)
                if row["corpus"] in wanted and row["in_meld_devtest"] != "1" and spoken(row["text"])
            ]
    except OSError as error:
        raise CorpusError(f"expected the text corpora at {path}: {error}") from error


def _example(row: dict[str, str], number: int) -> Example:
    corpus = row["corpus"]
    dialogue = row["dialogue_id"]
    return Example(
        corpus=corpus,
        key=f"text.csv.gz:{number}",
        emotion=row["emotion"],
        emotion_orig=row["emotion_orig"],
        words=row["text"],
        dialogue=f"{corpus}_{dialogue}" if dialogue else "",
        split=row["split"],
    )
