"""Records which speech was used in which stage; written beside the weights as audio_used.csv."""

from __future__ import annotations

import contextlib
import csv
import hashlib
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final

from .corpora.example import Example

FILE: Final = "audio_used.csv"
DISTILLATION: Final = ("distillation", "distillation, validation loss only")
"""The stages that make an audio encoder."""
_HEAD: Final = ("stage", "corpus", "speaker", "split", "clips", "sha256_of_paths")


class Provenance:
    """Collects rows (stage, corpus, speaker, split, clips, sha256 of the sorted paths)."""

    def __init__(self) -> None:
        self._rows: list[tuple[str, ...]] = []

    @classmethod
    def of(cls, folder: Path) -> Provenance:
        """That of another checkpoint, to go on with; empty where the folder has none."""
        provenance = cls()
        with contextlib.suppress(FileNotFoundError):
            lines = (folder / FILE).read_text(encoding="utf-8").splitlines()
            provenance._rows = [tuple(row[name] for name in _HEAD) for row in csv.DictReader(lines)]
        return provenance

    def only(self, stages: Collection[str]) -> Provenance:
        """The rows of some stages."""
        part = Provenance()
        part._rows = [row for row in self._rows if row[0] in stages]
        return part

    def add(self, stage: str, examples: Sequence[Example]) -> None:
        """Adds all clips of a stage, one row per speaker."""
        for speaker in sorted({example.speaker for example in examples}):
            part = [example for example in examples if example.speaker == speaker]
            paths = "\n".join(sorted(example.key for example in part))
            digest = hashlib.sha256(paths.encode()).hexdigest()
            self._rows.append((stage, part[0].corpus, speaker, part[0].split, str(len(part)), digest))

    def write(self, file: Path) -> None:
        with file.open("w", newline="", encoding="utf-8") as out:
            writer = csv.writer(out, lineterminator="\n")
            writer.writerow(_HEAD)
            writer.writerows(self._rows)
