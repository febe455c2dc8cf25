"""What became of each part of an archive, and what it was made with."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

BatchFormat = Literal["jsonl", "parquet"]
Models = tuple[str | None, str]
"""By name: who writes the words (None where nobody does), and who judges."""

_HOW: Final = re.compile(r"(M parameters), [^()]*\)$")
"""Behind a model's size: on which device and how exactly it computes, within our tolerance."""


@dataclass(frozen=True, slots=True)
class ShardRecord:
    """What became of a part. recordings: their addresses. failed: of these, what could not be played to its
    end; whole: how many could. errors: rows in the errors table; told: the first of them, for people. node:
    where it was judged, as Ray names it.
    """

    format: BatchFormat
    recordings: tuple[str, ...]
    failed: tuple[str, ...]
    whole: int
    audio_s: float
    utterances: int
    errors: int
    told: tuple[str, ...]
    models: Models
    node: str

    def encode(self) -> bytes:
        # The standard library's takes a name that is no UTF-8, and gives it back as it was.
        return json.dumps(asdict(self)).encode()

    @staticmethod
    def decode(data: bytes) -> ShardRecord:
        """Raises ValueError, KeyError or TypeError where it is none."""
        said: dict[str, Any] = json.loads(data)
        asr, emotion = said.pop("models")
        for name in ("recordings", "failed", "told"):
            said[name] = tuple(said[name])
        return ShardRecord(**said, models=(asr, emotion))


def addresses_in(notes: Sequence[ShardRecord]) -> set[str]:
    """Their addresses."""
    return {address for note in notes for address in note.recordings}


def should_retry(note: ShardRecord, wanted: set[str]) -> bool:
    """Whether a part with failures is taken apart: only with all that would be lost with it. wanted: what
    this run can judge.
    """
    again = wanted & set(note.failed)
    return bool(again) and wanted >= set(note.recordings) - set(note.failed)


def alike(models: Models) -> Models:
    """Equal where two results may stand in one archive."""
    asr, emotion = models
    return asr, _HOW.sub(r"\1)", emotion)


def named(models: Models) -> str:
    """For people."""
    asr, emotion = models
    return f"words: {asr or 'none'}, emotion: {emotion}"
