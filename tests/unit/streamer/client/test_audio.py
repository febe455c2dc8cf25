"""What a client sends of a source with gaps."""

from __future__ import annotations

import numpy as np

from emostream.streamer.audio.sources import AudioGap, Item, Pcm
from emostream.streamer.client.audio import ClientAudio
from emostream.streamer.protocol.messages import Gap
from tests.support.streams import ListSource


async def sent(*items: Item) -> list[str | int]:
    """Of audio its milliseconds, of gaps `gap MS`."""
    found: list[str | int] = []
    async for part in ClientAudio(ListSource(items)):
        found.append(f"gap {part.ms}" if isinstance(part, Gap) else len(part) // 4 // 16)
    return found


def pcm(ms: int) -> Pcm:
    return Pcm(np.ones((16 * ms, 1), np.float32))


async def test_gaps_are_sent_as_gaps() -> None:
    assert await sent(pcm(20), AudioGap(10_000, "x"), pcm(20)) == [20, "gap 10000", 20]


async def test_a_gap_keeps_its_reason() -> None:
    pause = AudioGap(10_000, "nothing was recorded here")
    long = AudioGap(1, "x" * 300)  # more than the protocol takes
    gaps = [part async for part in ClientAudio(ListSource([pause, pcm(20), long])) if isinstance(part, Gap)]
    assert gaps == [Gap(ms=10_000, reason="nothing was recorded here"), Gap(ms=1, reason="x" * 100)]


async def test_a_long_silence_of_a_codec_is_no_flood() -> None:
    """A minute without packets but one in 400 ms: a server would end the session at the 65th gap."""
    pause = [item for _ in range(150) for item in (pcm(20), AudioGap(380, "x", frequent=True))]
    parts = await sent(pcm(1_000), *pause, pcm(16_000), AudioGap(380, "x", frequent=True))
    assert parts[-1] == "gap 380"  # long after the others
    at_ms, gaps = 0, []
    for part in parts:
        if isinstance(part, int):
            at_ms += part
        else:
            gaps.append(at_ms)
    assert all(sum(at <= gap < at + 15_000 for gap in gaps) <= 32 for at in gaps)
    assert len(gaps) > 60
    total = sum(part if isinstance(part, int) else int(part.removeprefix("gap ")) for part in parts)
    assert total == 1_000 + 150 * 400 + 16_000 + 380


async def test_other_gaps_are_never_silence() -> None:
    items = [item for _ in range(50) for item in (pcm(20), AudioGap(100, "dropped"))]
    assert [part for part in await sent(*items) if isinstance(part, str)] == ["gap 100"] * 50
