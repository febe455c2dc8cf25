"""A table of clips, `manifest.csv`, to examples."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Final

from .example import CorpusError, Example
from .leaks import refuse_leaking_splits

DEFAULT_DATA: Final = Path(__file__).resolve().parents[2].parent / "shared" / "data"


def read_manifest(path: Path) -> list[Example]:
    """All clips but the byte-identical copies. Raises CorpusError."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        examples = [_example(row, path.parent) for row in rows if not row.get("dup_of")]
    except OSError as error:
        raise CorpusError(f"expected a manifest at {path}: {error}") from error
    except KeyError as error:
        raise CorpusError(f"{path}: column {error} is missing; see the README of the data") from error
    refuse_leaking_splits(examples)
    return examples


def _example(row: dict[str, str], root: Path) -> Example:
    return Example(
        corpus=row["corpus"],
        key=row["path"],
        emotion=row["emotion"],
        emotion_orig=row["emotion_orig"],
        path=root / row["path"],
        words=row["text"],
        language=row["lang"],
        speaker=row["speaker"],
        group=row.get("fold", ""),
        split=row["split"],
    )
