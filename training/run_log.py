"""The log of a training run: lines with the time since the start, on the terminal and in a file."""

from __future__ import annotations

import time
from pathlib import Path


class RunLog:
    """Appends to `file`, so that a resumed run continues its log."""

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self._file = file
        self._start = time.monotonic()

    def line(self, text: str) -> None:
        text = f"{time.monotonic() - self._start:7.0f} s  {text}"
        print(text, flush=True)
        with self._file.open("a", encoding="utf-8") as file:
            file.write(text + "\n")
