"""Log of the attempts at each shard, so that a recording that crashes workers is not retried forever."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from .shards import Shard
from .storage import Storage

_ISOLATE_FROM_ATTEMPT: Final = 3
"""A lost node costs an attempt, and so does a worker that is killed because of another one's memory use."""
_MAX_CRASHES: Final = 2
"""While the same recording was in progress: a node may be lost during an isolated attempt as well."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt at a shard. number: from 1. in_progress: address of the current recording, only recorded in
    isolated attempts. crashed_on: addresses of the recordings that were in progress when an isolated attempt
    died, one entry per death.
    """

    number: int = 0
    in_progress: str | None = None
    crashed_on: tuple[str, ...] = ()

    @property
    def isolated(self) -> bool:
        """Whether recordings are processed one at a time, each recorded in the log first."""
        return self.number >= _ISOLATE_FROM_ATTEMPT

    def should_skip(self, address: str) -> bool:
        """Whether that recording is skipped from now on."""
        return self.crashed_on.count(address) >= _MAX_CRASHES


class RetryLog:
    """Files beside the results, which survive the worker."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def begin(self, shard: Shard) -> Attempt:
        """Record the start of another attempt."""
        previous = self._read(shard)
        crashed_on = previous.crashed_on
        if previous.in_progress is not None:
            crashed_on = (*crashed_on, previous.in_progress)
        attempt = Attempt(previous.number + 1, None, crashed_on)
        self._write(shard, attempt)
        return attempt

    def mark_in_progress(self, shard: Shard, attempt: Attempt, address: str | None) -> None:
        """Record which recording is next; None: no recording is in progress."""
        self._write(shard, replace(attempt, in_progress=address))

    def clear(self, shard: Shard) -> None:
        """Delete the log of a completed shard."""
        self._storage.remove(_name(shard))

    def _read(self, shard: Shard) -> Attempt:
        data = self._storage.read(_name(shard))
        if data is None:
            return Attempt()
        fields: dict[str, Any] = json.loads(data)
        return Attempt(fields["number"], fields["in_progress"], tuple(fields["crashed_on"]))

    def _write(self, shard: Shard, attempt: Attempt) -> None:
        self._storage.write(_name(shard), json.dumps(asdict(attempt)).encode())


def _name(shard: Shard) -> str:
    return f"attempts/{shard.name}.json"
