"""What the corpora hold: `manifest.csv` to `Example`, `text.csv.gz` to `TextLine`.

Splits are by speaker. A speaker in two splits would make every figure a lie, so it is an error here and
not a warning somewhere else.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from emostream.models.wording import spoken

DEFAULT_DATA: Final = Path(__file__).resolve().parents[1].parent / "shared" / "data"
OTHER: Final = "other"


class CorpusError(ValueError):
    """A manifest is missing, lacks a column or breaks its own splits."""


@dataclass(frozen=True, slots=True)
class Example:
    """One clip. path: relative to the manifest's folder. emotion: a label or `other`.

    words: what is said, empty where it is not English.
    """

    path: str
    speaker: str
    emotion: str
    emotion_orig: str
    corpus: str
    split: str
    words: str = ""


@dataclass(frozen=True, slots=True)
class TextLine:
    """One utterance of a text corpus. emotion: a label or `other`."""

    corpus: str
    split: str
    text: str
    emotion: str


def read_manifest(path: Path) -> list[Example]:
    """All clips but the byte-identical copies. Raises CorpusError."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        examples = [_example(row) for row in rows if not row.get("dup_of")]
    except OSError as error:
        raise CorpusError(f"expected a manifest at {path}: {error}") from error
    except KeyError as error:
        raise CorpusError(f"{path}: column {error} is missing; see the README of the data") from error
    refuse_shared_speakers(examples)
    return examples


def _example(row: dict[str, str]) -> Example:
    return Example(
        path=row["path"],
        speaker=row["speaker"],
        emotion=row["emotion"],
        emotion_orig=row["emotion_orig"],
        corpus=row["corpus"],
        split=row["split"],
        words=row["text"] if row["lang"] == "en" else "",
    )


def refuse_shared_speakers(examples: Iterable[Example]) -> None:
    """Raises CorpusError where a speaker stands in two splits."""
    split_of: dict[str, str] = {}
    for example in examples:
        first = split_of.setdefault(example.speaker, example.split)
        if first != example.split:
            raise CorpusError(
                f"speaker {example.speaker} stands in the splits {first} and {example.split}: "
                "expected speaker-disjoint splits, mend the manifest"
            )


def read_texts(path: Path, corpora: Iterable[str]) -> list[TextLine]:
    """The lines of the named corpora, less those that repeat MELD's dev or test lines.

    A line without a word in it (`...`) is nothing to read, and no transcriber writes it: left out too.
    """
    wanted = set(corpora)
    try:
        with gzip.open(path, "rt", newline="", encoding="utf-8") as file:
            return [
                TextLine(row["corpus"], row["split"], row["text"], row["emotion"])
                for row in csv.DictReader(file)
                if row["corpus"] in wanted and row["in_meld_devtest"] != "1" and spoken(row["text"])
            ]
    except OSError as error:
        raise CorpusError(f"expected the text corpora at {path}: {error}") from error
