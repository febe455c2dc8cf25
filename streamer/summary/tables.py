"""Results in CSV and Parquet: rows of final results, as `replay --format csv` writes them, back into events.

A table has no event for the session's end: a recording is as long as its last utterance ends, and what had no
result is not in it.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
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


def read_table(path: Path, name: str) -> list[RecordingSummary]:
    """The recordings of one table in the order in which they begin, channel by channel.

    name: of the file, for messages. Raises SourceError where it is no such table, OSError, and ConfigError if
    pyarrow is missing for Parquet.
    """
    rows = _parquet_rows(path, name) if path.suffix == ".parquet" else _csv_rows(path, name)
    sessions: dict[str, SessionAccumulator] = {}
    for number, row in enumerate(rows, 1):
        try:
            recording, event = str(row["file"]), _event(row)
        except (KeyError, TypeError, ValueError) as error:
            raise SourceError(
                f"expected rows of emostream replay in {name}, got something else in row {number} "
                f"({_problem(error)}); give results in its csv or parquet format"
            ) from error
        session = sessions.get(recording)
        if session is None:
            session = sessions[recording] = SessionAccumulator(recording, name)
        session.add(event)
    if not sessions:
        raise SourceError(
            f"expected rows of emostream replay in {name}, got none; replay the recording again"
        )
    summaries = [summary for session in sessions.values() for summary in session.recordings]
    for summary in summaries:
        summary.state = "utterances"
    return summaries


def _problem(error: Exception) -> str:
    return f"no {error.args[0]}" if isinstance(error, KeyError) else str(error)


def _csv_rows(path: Path, name: str) -> Iterator[Mapping[str, Any]]:
    try:
        rows = csv.DictReader(io.StringIO(decode_text(path.read_bytes()), newline=""), strict=True)
        _check_columns(rows.fieldnames or (), name)
        for row in rows:
            yield row | {"file": text_of_cell(row["file"])}
    except (csv.Error, UnicodeDecodeError) as error:
        raise SourceError(f"expected a table in {name}, got: {error}; write it again") from error


def _parquet_rows(path: Path, name: str) -> Iterator[Mapping[str, Any]]:
    require("pyarrow", name, "parquet")
    from pyarrow import ArrowException
    from pyarrow.parquet import ParquetFile

    try:
        with ParquetFile(path) as file:
            _check_columns(file.schema_arrow.names, name)
            wanted = [column for column in file.schema_arrow.names if column != "words"]
            for batch in file.iter_batches(columns=wanted):
                yield from batch.to_pylist()
    except ArrowException as error:
        raise SourceError(f"expected a Parquet table in {name}, got: {error}; write it again") from error


def _check_columns(columns: Iterable[str], name: str) -> None:
    if missing := [column for column in _NEEDED if column not in set(columns)]:
        raise SourceError(
            f"expected the columns of emostream replay in {name}, got none named {', '.join(missing)}; give "
            "results in its csv or parquet format"
        )


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
        text="",
        language=None,
        words=(),
        timing=_TIMING,
    )
