"""Results in CSV and Parquet: rows of final results, as `replay --format csv` writes them, back into events.

A table has no event for the session's end: a recording is as long as its last utterance ends, and what had no
result is not in it.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ..errors import SourceError
from ..optional_deps import require
from ..output.csv_cells import text_of_cell
from ..protocol import messages
from ..text_encoding import decode_text
from .statistics import RecordingSummary, SessionAccumulator

SUFFIXES: Final = (".csv", ".parquet")

_NEEDED: Final = ("file", "utterance", "start_s", "end_s", "label", "confidence")
_TIMING: Final = messages.Timing(
    endpoint_ms=0, lead_ms=0, queue_ms=0, asr_ms=0, align_ms=0, emotion_ms=0, total_ms=0
)


@dataclass(frozen=True, slots=True)
class Table:
    columns: Sequence[str]
    rows: Iterable[Mapping[str, Any]]


def open_table(path: Path, name: str) -> Table:
    """A CSV or Parquet file. name: of the file, for messages. Reading its rows raises SourceError too.

    Raises SourceError where it is no table, OSError, and ConfigError if pyarrow is missing for Parquet.
    """
    return _parquet(path, name) if path.suffix == ".parquet" else _csv(path, name)


def read_table(path: Path, name: str, *, keep_finals: bool = False) -> list[RecordingSummary]:
    """The recordings of one table in the order in which they begin, channel by channel.

    Raises as `open_table`, and SourceError where it has no results.
    """
    table = open_table(path, name)
    if missing := [column for column in _NEEDED if column not in table.columns]:
        raise SourceError(
            f"expected the columns of emostream replay in {name}, got none named {', '.join(missing)}; give "
            "results in its csv or parquet format"
        )
    sessions: dict[str, SessionAccumulator] = {}
    for number, row in enumerate(table.rows, 1):
        try:
            recording, event = str(row["file"]), _event(row)
        except (KeyError, TypeError, ValueError) as error:
            raise SourceError(
                f"expected rows of emostream replay in {name}, got something else in row {number} ({error}); "
                "give results in its csv or parquet format"
            ) from error
        session = sessions.get(recording)
        if session is None:
            session = sessions[recording] = SessionAccumulator(recording, name, keep_finals=keep_finals)
        session.add(event)
    if not sessions:
        raise SourceError(
            f"expected rows of emostream replay in {name}, got none; replay the recording again"
        )
    summaries = [summary for session in sessions.values() for summary in session.recordings]
    for summary in summaries:
        summary.state = "utterances"
    return summaries


def _csv(path: Path, name: str) -> Table:
    try:
        reader = csv.DictReader(io.StringIO(decode_text(path.read_bytes()), newline=""), strict=True)
        columns = reader.fieldnames or ()
    except (csv.Error, UnicodeDecodeError) as error:
        raise _no_table(name, error) from error

    def rows() -> Iterator[Mapping[str, Any]]:
        try:
            for row in reader:
                # A cell that is missing is None; what is beyond the last column has no name.
                yield {key: text_of_cell(cell or "") for key, cell in row.items() if key is not None}
        except csv.Error as error:
            raise _no_table(name, error) from error

    return Table(columns, rows())


def _parquet(path: Path, name: str) -> Table:
    require("pyarrow", name, "parquet")
    from pyarrow import ArrowException
    from pyarrow.parquet import ParquetFile

    try:
        file = ParquetFile(path)
    except ArrowException as error:
        raise _no_table(name, error) from error
    columns = [column for column in file.schema_arrow.names if column != "words"]

    def rows() -> Iterator[Mapping[str, Any]]:
        try:
            with file:
                for batch in file.iter_batches(columns=columns):
                    yield from batch.to_pylist()
        except ArrowException as error:
            raise _no_table(name, error) from error

    return Table(columns, rows())


def _no_table(name: str, error: Exception) -> SourceError:
    return SourceError(f"expected a table in {name}, got: {error}; write it again")


def _event(row: Mapping[str, Any]) -> messages.Emotion:
    start_ms, end_ms = (round(float(row[time]) * 1_000) for time in ("start_s", "end_s"))
    if end_ms < start_ms:
        raise ValueError("an utterance that ends before it starts")
    uncertain = row.get("uncertain") or ()
    reasons = uncertain.split(";") if isinstance(uncertain, str) else uncertain
    channel = row.get("channel")
    confidence = float(row["confidence"])
    return messages.Emotion(
        utterance=int(row["utterance"]),
        channel=int(channel) if channel not in (None, "") else None,
        final=True,
        start_ms=start_ms,
        end_ms=end_ms,
        reason="silence",
        label=str(row["label"]),
        confidence=confidence,
        uncertain=tuple(reasons),
        probabilities={},
        audio_only={},
        text_only=None,
        text=str(row.get("text") or ""),
        reliable=row.get("reliable") in (None, "", True, "true"),
        language=None,
        words=(),
        timing=_TIMING,
    )
