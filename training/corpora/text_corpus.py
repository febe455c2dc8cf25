"""Text without audio: lines with words in them, repaired encodings, and the reader of `text.csv.gz`."""

from __future__ import annotations

import contextlib
import csv
import gzip
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from emostream.models.text_normalization import normalize_text

from .example import CorpusError, Example

TEXT_CORPORA: Final = ("goemotions", "emorynlp", "dailydialog_reccon")
"""For released weights. MELD stays out: its licence is unsettled for them."""
_CONTROLS: Final = {
    code: character
    for code in range(0x80, 0xA0)
    if (character := bytes([code]).decode("cp1252", errors="ignore"))
}
_MANGLED: Final = re.compile(r"[\u00c2\u00c3\u00e2][\u0080-\u00bf\u0152-\u2122]")
"""The first two of the characters that a wrongly decoded one turns into."""


def fix_encoding(text: str) -> str:
    """The text with the two common encoding errors repaired.

    Windows-1252 kept byte by byte (U+0092 for a right quotation mark), and UTF-8 decoded as Windows-1252
    (three characters in place of one).
    """
    if _MANGLED.search(text):
        with contextlib.suppress(UnicodeError):  # a correct text that only looks like it cannot be encoded
            text = text.encode("cp1252").decode("utf-8")
    return text.translate(_CONTROLS)


def drop_wordless(examples: Iterable[Example]) -> list[Example]:
    """The examples with a word in them. No transcriber outputs a line such as `...`."""
    return [example for example in examples if normalize_text(example.words)]


def read_text_corpus(path: Path, corpora: Iterable[str]) -> list[Example]:
    """The lines of the named corpora, except those that repeat MELD's dev or test lines.

    A line without a word in it (`...`), which no transcriber outputs, is left out too.
    Raises CorpusError for a missing or damaged file and a missing column.
    """
    selected = set(corpora)
    try:
        with gzip.open(path, "rt", newline="", encoding="utf-8") as file:
            return drop_wordless(
                _example(row, number)
                for number, row in enumerate(csv.DictReader(file), start=2)
                if row["corpus"] in selected and row["in_meld_devtest"] != "1"
            )
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise CorpusError(f"expected the text corpora at {path}, got {error}: get the file again") from error
    except KeyError as error:
        raise CorpusError(f"{path}: expected a column {error.args[0]}, got none: fix the header") from error


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
