"""Who tried a part before, so that a recording on which workers die is not tried for ever."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from .shards import Shard
from .storage import Storage

_CAREFUL_FROM: Final = 3
"""A node that is lost costs an attempt, and so does a worker that is killed for another one's memory."""
_DEATHS: Final = 2
"""With one and the same recording under way: a node may be lost during a careful attempt as well."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """number: from 1. under_way: address of the recording that is being played, noted where it is played
    alone. deadly: addresses of those that were, when such an attempt died, once for each time.
    """

    number: int = 0
    under_way: str | None = None
    deadly: tuple[str, ...] = ()

    @property
    def careful(self) -> bool:
        """Whether one recording is played at a time, and noted before."""
        return self.number >= _CAREFUL_FROM

    def should_skip(self, address: str) -> bool:
        """Whether that recording is left alone from now on."""
        return self.deadly.count(address) >= _DEATHS


class RetryLog:
    """Notes beside the results: they outlive the worker."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def begin(self, part: Shard) -> Attempt:
        """One more."""
        before = self._read(part)
        deadly = before.deadly if before.under_way is None else (*before.deadly, before.under_way)
        now = Attempt(before.number + 1, None, deadly)
        self._write(part, now)
        return now

    def play(self, part: Shard, attempt: Attempt, address: str | None) -> None:
        """Note which recording comes next; None: none is being played."""
        self._write(part, replace(attempt, under_way=address))

    def end(self, part: Shard) -> None:
        """It is done."""
        self._storage.remove(_name(part))

    def _read(self, part: Shard) -> Attempt:
        data = self._storage.read(_name(part))
        if data is None:
            return Attempt()
        said: dict[str, Any] = json.loads(data)
        return Attempt(said["number"], said["under_way"], tuple(said["deadly"]))

    def _write(self, part: Shard, attempt: Attempt) -> None:
        self._storage.write(_name(part), json.dumps(asdict(attempt)).encode())


def _name(part: Shard) -> str:
    return f"attempts/{part.name}.json"
