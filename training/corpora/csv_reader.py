"""CSV and TSV of the corpora, row by row, with line numbers for the errors."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .example import CorpusError
from .files import read_text_file


@dataclass(frozen=True, slots=True)
class CsvRow:
    """One row. where: `file:line` of its end. cells: by column, stripped; empty where there is none."""

    where: str
    cells: dict[str, str]


def read_table(
    path: Path, columns: Sequence[str], *, delimiter: str = ",", encodings: Sequence[str] = ("utf-8-sig",)
) -> list[CsvRow]:
    """The rows of a table with a header. A tab-separated table has no quoting.

    Raises CorpusError for a file that cannot be read, a missing column, and a row with too many cells.
    """
    text = io.StringIO(read_text_file(path, *encodings), newline="")
    quoting: Literal[0, 3] = csv.QUOTE_NONE if delimiter == "\t" else csv.QUOTE_MINIMAL
    reader = csv.reader(text, delimiter=delimiter, quoting=quoting)
    try:
        header = next(reader, [])
        _check_columns(header, columns, path)
        return [_row(cells, header, f"{path}:{reader.line_num}") for cells in reader if cells]
    except csv.Error as error:
        raise CorpusError(f"{path}:{reader.line_num}: expected a table, got {error}: fix the line") from error


def _check_columns(header: Sequence[str], required: Sequence[str], path: Path) -> None:
    missing = [name for name in required if name not in header]
    if missing:
        raise CorpusError(
            f"{path}: expected a column {missing[0]}, got {', '.join(header) or 'nothing'}: fix the header"
        )


def _row(cells: Sequence[str], header: Sequence[str], where: str) -> CsvRow:
    """Short rows are filled with empty cells."""
    if len(cells) > len(header):
        raise CorpusError(
            f"{where}: expected {len(header)} cells, got {len(cells)}: quote what holds a comma"
        )
    return CsvRow(
        where, {name: cell.strip() for name, cell in itertools.zip_longest(header, cells, fillvalue="")}
    )
