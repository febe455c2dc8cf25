"""Records which speech was used in which stage; written beside the weights as audio_used.csv."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Sequence
from pathlib import Path

from ..corpora.example import Example


class Provenance:
    """Collects rows (stage, corpus, speaker, split, clips, sha256 of the sorted paths)."""

    def __init__(self) -> None:
        self._rows: list[tuple[str, str, str, str, int, str]] = []

    def add(self, stage: str, examples: Sequence[Example]) -> None:
        """Adds all clips of a stage, one row per speaker."""
        for speaker in sorted({example.speaker for example in examples}):
            part = [example for example in examples if example.speaker == speaker]
            paths = "\n".join(sorted(example.key for example in part))
            digest = hashlib.sha256(paths.encode()).hexdigest()
            self._rows.append((stage, part[0].corpus, speaker, part[0].split, len(part), digest))

    def write(self, file: Path) -> None:
        with file.open("w", newline="", encoding="utf-8") as out:
            writer = csv.writer(out, lineterminator="\n")
            writer.writerow(["stage", "corpus", "speaker", "split", "clips", "sha256_of_paths"])
            writer.writerows(self._rows)
