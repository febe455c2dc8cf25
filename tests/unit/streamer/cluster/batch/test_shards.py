"""Shards: every recording once, in order, of limited size."""

from __future__ import annotations

import pytest

from emostream.streamer.cluster.batch.discovery import RecordingRef
from emostream.streamer.cluster.batch.shards import Shard, make_shards


def recordings(*names: str, size_bytes: int = 0) -> list[RecordingRef]:
    return [RecordingRef(name, f"/in/{name}", size_bytes) for name in names]


def numbered(count: int, size_bytes: int = 0) -> list[RecordingRef]:
    return recordings(*(f"{number}.wav" for number in range(count)), size_bytes=size_bytes)


@pytest.mark.parametrize(
    ("count", "size_bytes", "batch", "workers", "sizes"),
    [
        (10, 0, 4, 1, [3, 3, 3, 1]),  # four shards per worker, so that none waits long for the last
        (1_000, 0, 64, 1, [64] * 15 + [40]),
        (3, 0, 64, 8, [1, 1, 1]),
        (5, 100 << 20, 64, 1, [2, 2, 1]),
        (3, 300 << 20, 64, 1, [1, 1, 1]),
        (0, 0, 64, 1, []),
    ],
)
def test_shards_hold_every_recording_once_in_order(
    count: int, size_bytes: int, batch: int, workers: int, sizes: list[int]
) -> None:
    given = numbered(count, size_bytes)
    shards = list(make_shards(given, batch, workers))
    assert [recording for shard in shards for recording in shard.recordings] == given
    assert [len(shard.recordings) for shard in shards] == sizes
    assert len({shard.name for shard in shards}) == len(shards)


def test_a_shard_is_named_by_its_recordings() -> None:
    one, same, other = (Shard(tuple(recordings(*names))) for names in (["a", "b"], ["a", "b"], ["ab"]))
    assert one.name == same.name != other.name
    assert Shard((RecordingRef("\udce9.wav", "/\udce9.wav"),)).name.startswith("part-")
