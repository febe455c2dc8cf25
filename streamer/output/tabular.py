"""Final results as a table, one row each: CSV, and Parquet with types.

Both have the same columns and rows; Parquet has a column of words with their times as well.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from typing import Any, BinaryIO, Final, Literal, TextIO

import msgspec

from ..optional_deps import require
from ..pipeline.session import Sink
from ..protocol import messages
from .csv_cells import safe_cell
from .document import FinalsSink

Kind = Literal["text", "integer", "number", "flag", "texts"]
Row = dict[str, Any]

_GROUP_ROWS: Final = 1_000
"""Rows per Parquet row group, which are buffered: an hour of speech, some hundred kilobytes."""


def columns(labels: Sequence[str]) -> dict[str, Kind]:
    """Name -> kind; Parquet has `words` after them."""
    return {
        "file": "text",
        "utterance": "integer",
        "channel": "integer",
        "start_s": "number",
        "end_s": "number",
        "reason": "text",
        "label": "text",
        "confidence": "number",
        "reliable": "flag",
        "uncertain": "texts",
        "baseline_utterances": "integer",
        **{f"{view}_{label}": "number" for view in ("p", "audio", "text") for label in labels},
        "language": "text",
        "text": "text",
    }


def row(recording: str, event: messages.Emotion, labels: Sequence[str]) -> Row:
    """The cells of a final result; None where there is no value."""
    by_text = event.text_only or {}
    return {
        "file": recording,
        "utterance": event.utterance,
        "channel": event.channel,
        "start_s": event.start_ms / 1_000,
        "end_s": event.end_ms / 1_000,
        "reason": event.reason,
        "label": event.label,
        "confidence": event.confidence,
        "reliable": event.reliable,
        "uncertain": event.uncertain,
        "baseline_utterances": event.baseline_utterances,
        **{f"p_{label}": event.probabilities[label] for label in labels},
        **{f"audio_{label}": event.audio_only[label] for label in labels},
        **{f"text_{label}": by_text.get(label) for label in labels},
        "language": event.language,
        "text": event.text,
    }


class CsvSink(FinalsSink):
    """None is an empty cell; a flag is `true` or `false`; the reasons for uncertainty are separated by
    semicolons; texts are as in `safe_cell`.
    """

    def __init__(self, out: TextIO, recording: str, labels: Sequence[str]) -> None:
        self._out = out
        self._recording = recording
        self._labels = labels

    def write(self, event: messages.Emotion) -> None:
        cells = row(self._recording, event, self._labels)
        cells |= {name: safe_cell(cells[name]) for name in ("file", "text")}
        as_text = {"reliable": str(event.reliable).lower(), "uncertain": ";".join(event.uncertain)}
        self._out.write(_csv_line((cells | as_text).values()))


def csv_head(labels: Sequence[str]) -> str:
    """The header line."""
    return _csv_line(columns(labels))


def _csv_line(cells: Iterable[object]) -> str:
    # The csv module quotes a carriage return only if lines end with one.
    line = io.StringIO(newline="")
    csv.writer(line, lineterminator="\r\n").writerow(cells)
    return line.getvalue().removesuffix("\r\n") + "\n"


class ParquetDocument:
    """Rows of all its recordings, in row groups as they come: memory does not grow with the audio. The file
    is readable once it is closed.
    """

    def __init__(self, out: BinaryIO, labels: Sequence[str]) -> None:
        from pyarrow.parquet import ParquetWriter

        self._labels = labels
        self._schema = _schema(labels)
        self._writer = ParquetWriter(out, self._schema)
        self._buffer: list[Row] = []

    def add(self, recording: str) -> Sink:
        return _RowSink(recording, self._labels, self._write)

    def _write(self, row: Row) -> None:
        self._buffer.append(row)
        if len(self._buffer) >= _GROUP_ROWS:
            self._write_group()

    def _write_group(self) -> None:
        from pyarrow import RecordBatch

        self._writer.write_batch(RecordBatch.from_pylist(self._buffer, self._schema))
        self._buffer.clear()

    def close(self) -> None:
        try:
            if self._buffer:
                self._write_group()
        finally:
            self._writer.close()


class _RowSink(FinalsSink):
    def __init__(self, recording: str, labels: Sequence[str], written: Callable[[Row], None]) -> None:
        self._recording = recording
        self._labels = labels
        self._written = written

    def write(self, event: messages.Emotion) -> None:
        words = [msgspec.structs.asdict(word) for word in event.words]
        self._written(row(self._recording, event, self._labels) | {"words": words})


def _schema(labels: Sequence[str]) -> Any:
    """`pyarrow.Schema`."""
    import pyarrow as pa

    types = {
        "text": pa.string(),
        "integer": pa.int64(),
        "number": pa.float64(),
        "flag": pa.bool_(),
        "texts": pa.list_(pa.string()),
    }
    word = [
        ("text", pa.string()),
        ("start_ms", pa.int64()),
        ("end_ms", pa.int64()),
        ("confidence", pa.float64()),
    ]
    named = [(name, types[kind]) for name, kind in columns(labels).items()]
    return pa.schema([*named, ("words", pa.list_(pa.struct(word)))])


def require_pyarrow() -> None:
    """Raises ConfigError if it is not installed."""
    require("pyarrow", "--format parquet", "parquet")
