"""What could not be read or judged, a row each."""

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
    """file: as the results name it. code: stable, for programs. utterance: the one without a result; None
    where it is the recording that could not be read (to its end). audio_s: what was heard of it.
    """

    file: str
    code: str
    message: str
    utterance: int | None
    audio_s: float

    @property
    def told(self) -> str:
        """For people."""
        return (
            self.message
            if self.utterance is None
            else f"{self.file}, utterance {self.utterance}: {self.message}"
        )


def write_errors(rows: Sequence[ErrorRow], form: BatchFormat, path: Path) -> None:
    """Without rows there is not a byte."""
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
