"""A recording that is in memory and stays there: no part of an upload is ever written to disk."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Literal


@dataclass(frozen=True, slots=True)
class MemoryFile:
    """name: for messages."""

    name: str
    data: bytes = field(repr=False)

    def __str__(self) -> str:
        return self.name

    def open(self, mode: Literal["rb"] = "rb") -> BinaryIO:
        """A file of its own each time, without a copy of the data."""
        return io.BytesIO(self.data)


Recording = Path | MemoryFile
"""What can be opened again and again, read anywhere, and has an end."""


def size_of(file: Recording) -> int:
    """In bytes. Raises OSError."""
    return len(file.data) if isinstance(file, MemoryFile) else file.stat().st_size
