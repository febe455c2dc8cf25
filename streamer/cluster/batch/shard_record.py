"""The record of a completed shard: counts, failures and the models that were used."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

BatchFormat = Literal["jsonl", "parquet"]
ModelNames = tuple[str | None, str]
"""Names of the transcriber (None without one) and of the emotion model."""

_COMPUTE_DETAILS: Final = re.compile(r"(M parameters), [^()]*\)$")
"""After a model's size: device and precision, whose results agree within our tolerance."""


@dataclass(frozen=True, slots=True)
class ShardRecord:
    """The result of a shard. recordings: their addresses. failed: those that could not be processed to their
    end; complete: how many could. errors: rows in the errors table; messages: the first of them, for people.
    node: Ray's id of the node that processed it.
    """

    format: BatchFormat
    recordings: tuple[str, ...]
    failed: tuple[str, ...]
    complete: int
    audio_s: float
    utterances: int
    errors: int
    messages: tuple[str, ...]
    models: ModelNames
    node: str

    def encode(self) -> bytes:
        # The standard library's json round-trips names that are not UTF-8.
        return json.dumps(asdict(self)).encode()

    @staticmethod
    def decode(data: bytes) -> ShardRecord:
        """Raises ValueError, KeyError or TypeError for invalid data."""
        fields: dict[str, Any] = json.loads(data)
        asr, emotion = fields.pop("models")
        for name in ("recordings", "failed", "messages"):
            fields[name] = tuple(fields[name])
        return ShardRecord(**fields, models=(asr, emotion))


def addresses_in(records: Sequence[ShardRecord]) -> set[str]:
    """The addresses of all their recordings."""
    return {address for record in records for address in record.recordings}


def should_retry(record: ShardRecord, wanted: set[str]) -> bool:
    """Whether a shard with failures is processed again: only if this run can restore all of its results.
    wanted: the addresses of this run's recordings.
    """
    retried = wanted & set(record.failed)
    return bool(retried) and wanted >= set(record.recordings) - set(record.failed)


def normalized_models(models: ModelNames) -> ModelNames:
    """The names without device and precision; equal where results may be combined in one output folder."""
    asr, emotion = models
    return asr, _COMPUTE_DETAILS.sub(r"\1)", emotion)


def describe_models(models: ModelNames) -> str:
    """The names for an error message."""
    asr, emotion = models
    return f"words: {asr or 'none'}, emotion: {emotion}"
