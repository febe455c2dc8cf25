"""A corpus as a table of clips or lines of text: `manifest.csv` with a header, or `manifest.jsonl`.

| column | |
|---|---|
| `path`, `text` | the audio file, relative to the manifest, and its words; one of the two may be empty |
| `emotion` | angry, happy, sad, neutral, other; without `emotion_orig` also `anger`, `hap`, `calm`, ... |
| `emotion_orig` | the corpus's own label |
| `corpus`, `lang` | its name, `manifest` otherwise; the language of the words (BCP 47), `en` otherwise |
| `speaker`, `dialogue` | unique across all corpora |
| `sex` or `gender` | of the speaker; metrics are given for each |
| `split` | train, dev or test, disjoint in speakers and dialogues |
| `group`, `fold`, `session` | the unit of cross-validation, the first of the three that there is |
| `dup_of` | the row is a copy of another and is left out |

Everything but `emotion` and one of `path` and `text` may be left out; other columns are ignored.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from emostream.models import LABELS

from .csv_reader import CsvRow, read_table
from .example import OTHER, CorpusError, Example
from .files import check_none_missing, read_lines
from .labels import label_of
from .leakage import check_splits_disjoint

DEFAULT_DATA: Final = Path(__file__).resolve().parents[2].parent / "shared" / "data"

NAMES: Final = ("manifest.csv", "manifest.jsonl")

_SPLITS: Final = {name: name for name in ("", "train", "dev", "test")} | {
    "val": "dev",
    "valid": "dev",
    "validation": "dev",
}
_WHOLE_NUMBER: Final = re.compile(r"(\d+)\.0")
"""What a spreadsheet makes of the number of a fold."""


def read_manifest(path: Path) -> list[Example]:
    """All rows but the copies. path: the file, or the folder with one of `NAMES` in it.

    Raises CorpusError for a missing file, column or audio file, an unknown label or split, and a speaker or a
    dialogue that is in two splits.
    """
    path = _file(path)
    rows = _json_rows(path) if path.suffix == ".jsonl" else read_table(path, ("emotion",))
    examples = [_example(row, path) for row in rows if not row.cells.get("dup_of")]
    check_none_missing(
        (str(example.path) for example in examples if example.path and not example.path.is_file()),
        f"a file for each path of {path}",
        "paths are relative to the manifest",
    )
    check_splits_disjoint(examples)
    return examples


def _file(path: Path) -> Path:
    found = [path] if path.is_file() else [path / name for name in NAMES if (path / name).is_file()]
    if not found:
        raise CorpusError(
            f"expected a manifest at {path}, got none: give a CSV or JSONL file, or a folder with "
            f"{' or '.join(NAMES)}"
        )
    return found[0]


def _json_rows(path: Path) -> list[CsvRow]:
    lines = enumerate(read_lines(path, "utf-8-sig"), start=1)
    return [_json_row(line, f"{path}:{number}") for number, line in lines if line.strip()]


def _json_row(line: str, where: str) -> CsvRow:
    try:
        values = json.loads(line)
    except ValueError as error:
        raise CorpusError(f"{where}: expected one JSON object a line, got {error}: fix the line") from error
    if not isinstance(values, dict) or "emotion" not in values:
        raise CorpusError(
            f"{where}: expected a JSON object with `emotion`, got {line.strip()!r}: fix the line"
        )
    return CsvRow(
        where, {name: "" if value is None else str(value).strip() for name, value in values.items()}
    )


def _example(row: CsvRow, path: Path) -> Example:
    cells, corpus = row.cells, row.cells.get("corpus") or "manifest"
    sound, words = cells.get("path", ""), cells.get("text", "")
    if not sound and not words:
        raise CorpusError(f"{row.where}: expected a path or a text, got neither: fill one in")
    return Example(
        corpus=corpus,
        key=sound or f"{path.name}:{row.where.rpartition(':')[2]}",
        emotion=_label(row),
        emotion_orig=cells.get("emotion_orig") or cells["emotion"],
        path=path.parent / sound if sound else None,
        words=words,
        language=cells.get("lang") or "en",
        speaker=cells.get("speaker", ""),
        sex=_first(cells, ("sex", "gender")),
        dialogue=cells.get("dialogue", ""),
        group=_first(cells, ("group", "fold", "session")),
        split=_split(row),
    )


def _label(row: CsvRow) -> str:
    """With a column for the corpus's own label, the other is ours already and takes no other name."""
    name = row.cells["emotion"]
    if "emotion_orig" not in row.cells:
        return label_of(name, row.where)
    if name not in (*LABELS, OTHER):
        raise CorpusError(
            f"{row.where}: expected one of {', '.join((*LABELS, OTHER))}, got {name!r}: fix it, keep the "
            "corpus's own label in `emotion_orig`"
        )
    return name


def _split(row: CsvRow) -> str:
    name = row.cells.get("split", "")
    if name not in _SPLITS:
        raise CorpusError(f"{row.where}: expected train, dev, test or nothing, got {name!r}: fix `split`")
    return _SPLITS[name]


def split_of(name: str) -> str:
    """train, dev or test for a name of one; empty for any other."""
    return _SPLITS.get(name, "")


def _first(cells: dict[str, str], names: Sequence[str]) -> str:
    name = next((cells[name] for name in names if cells.get(name)), "")
    match = _WHOLE_NUMBER.fullmatch(name)
    return match[1] if match else name
