"""Recordings in parts: what one worker does at a time, and what is lost where one is killed."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from .discovery import Recording

_PART_BYTES: Final = 256 << 20
_PARTS_PER_WORKER: Final = 4
"""At least, where there are recordings enough: the last part of one worker is what the others wait for."""


@dataclass(frozen=True, slots=True)
class Shard:
    recordings: tuple[Recording, ...]

    @property
    def name(self) -> str:
        """The same for the same recordings, so that a second attempt writes over the first one's files."""
        return shard_name([one.address for one in self.recordings])


def shard_name(addresses: Sequence[str]) -> str:
    """Of the part with these recordings."""
    whole = b"\0".join(os.fsencode(address) for address in addresses)
    return f"part-{hashlib.sha256(whole).hexdigest()[:20]}"


def make_shards(recordings: Sequence[Recording], shard_size: int, workers: int) -> Iterator[Shard]:
    """In their order, at most `shard_size` recordings or about 256 MB in each."""
    most = max(1, min(shard_size, math.ceil(len(recordings) / (_PARTS_PER_WORKER * workers))))
    held: list[Recording] = []
    held_bytes = 0
    for recording in recordings:
        if held and (len(held) == most or held_bytes + recording.size_bytes > _PART_BYTES):
            yield Shard(tuple(held))
            held, held_bytes = [], 0
        held.append(recording)
        held_bytes += recording.size_bytes
    if held:
        yield Shard(tuple(held))
