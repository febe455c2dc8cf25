"""Shards of recordings: the unit of work of a worker, and what is repeated where a worker is killed."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from .discovery import RecordingRef

_MAX_SHARD_BYTES: Final = 256 << 20
_MIN_SHARDS_PER_WORKER: Final = 4
"""Where there are enough recordings: the others wait for the last shard of one worker."""


@dataclass(frozen=True, slots=True)
class Shard:
    recordings: tuple[RecordingRef, ...]

    @property
    def name(self) -> str:
        """The same for the same recordings, so that a second attempt overwrites the first one's files."""
        return shard_name([recording.address for recording in self.recordings])


def shard_name(addresses: Sequence[str]) -> str:
    """The name of the shard with these recordings."""
    joined = b"\0".join(os.fsencode(address) for address in addresses)
    return f"part-{hashlib.sha256(joined).hexdigest()[:20]}"


def make_shards(recordings: Sequence[RecordingRef], shard_size: int, workers: int) -> Iterator[Shard]:
    """Shards in the order of the recordings, each with at most `shard_size` recordings or about 256 MB."""
    limit = max(1, min(shard_size, math.ceil(len(recordings) / (_MIN_SHARDS_PER_WORKER * workers))))
    members: list[RecordingRef] = []
    member_bytes = 0
    for recording in recordings:
        if members and (len(members) == limit or member_bytes + recording.size_bytes > _MAX_SHARD_BYTES):
            yield Shard(tuple(members))
            members, member_bytes = [], 0
        members.append(recording)
        member_bytes += recording.size_bytes
    if members:
        yield Shard(tuple(members))
