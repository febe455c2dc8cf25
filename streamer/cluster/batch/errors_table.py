"""The errors table: one row for each recording or utterance that could not be processed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from .shard_record import BatchFormat


@dataclass(frozen=True, slots=True)
class ErrorRow:
    """file: as in the results. code: stable, for programs. utterance: the one without a result; None where
    the recording could not be read (to its end). audio_s: the length that was processed.
    """

    file: str
    code: str
    message: str
    utterance: int | None
    audio_s: float

    @property
    def description(self) -> str:
        """The error with its file, for people."""
        return (
            self.message
            if self.utterance is None
            else f"{self.file}, utterance {self.utterance}: {self.message}"
        )


def write_errors(rows: Sequence[ErrorRow], form: BatchFormat, path: Path) -> None:
    """Write the table; the file is empty without rows."""
    if form == "jsonl" or not rows:
        path.write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in rows))
        return
    import pyarrow as pa
    from pyarrow import parquet

    schema = pa.schema(
        [
            ("file", pa.string()),
            ("code", pa.string()),
            ("message", pa.string()),
            ("utterance", pa.int64()),
            ("audio_s", pa.float64()),
        ]
    )
    parquet.write_table(pa.Table.from_pylist([asdict(row) for row in rows], schema), path)
