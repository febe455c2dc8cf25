"""Quiet audio waits for what follows it; nothing else does, and nothing is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import pytest

from emostream.streamer.audio.frontend import PcmDecoder, encode_pcm
from emostream.streamer.audio.g711 import alaw_table, mulaw_table
from emostream.streamer.protocol import messages
from emostream.streamer.protocol.messages import Encoding
from emostream.streamer.server.quiet_audio import QuietAudio
from emostream.streamer.server.websocket_source import WebSocketSource

BLOCK = 1_600


def block(level: float, encoding: Encoding = "pcm_f32le") -> bytes:
    samples = np.full(BLOCK, level, np.float32)
    match encoding:
        case "pcm_f32le" | "pcm_s16le":
            return encode_pcm(samples[:, None], encoding)
        case _:
            table = {"mulaw": mulaw_table(), "alaw": alaw_table()}[encoding]
            return bytes([int(np.abs(table - np.float32(level)).argmin())]) * BLOCK


def after(*levels: float, idle: bool = True, encoding: Encoding = "pcm_f32le") -> QuietAudio:
    """Of a session that has taken blocks of these levels, one by one."""
    quiet = QuietAudio(PcmDecoder(encoding, 1), longest=5 * BLOCK)
    quiet.begin(idle=True)
    for level in levels:
        quiet.add(block(level, encoding))
        quiet.take()
        quiet.begin(idle=idle)
    return quiet


@pytest.mark.parametrize(
    ("before", "now", "waits"),
    [
        ([], 0.0, True),
        ([], 0.0009, True),
        ([], 0.002, False),
        ([0.002], 0.002, True),
        ([0.002], -0.0024, True),
        ([0.002], -0.003, False),
        ([0.002, 0.0], 0.002, False),
        ([0.5], 0.0099, True),
        ([0.5], 0.011, False),
        ([], np.nan, False),
        ([], np.inf, False),
    ],
)
def test_what_is_as_quiet_as_before_waits(before: list[float], now: float, waits: bool) -> None:
    assert after(*before).add(block(now)) is waits


@pytest.mark.parametrize("encoding", ["pcm_s16le", "pcm_f32le", "mulaw", "alaw"])
def test_levels_are_those_of_the_decoded_samples(encoding: Encoding) -> None:
    """A zero byte is full scale in mu-law."""
    heard = after(0.004, encoding=encoding)
    assert heard.add(block(0.0045, encoding))
    assert not heard.add(bytes([0, 0]) if encoding == "mulaw" else block(0.02, encoding))


def test_nothing_waits_while_somebody_speaks() -> None:
    assert not after(0.0, idle=False).add(block(0.0))


def test_it_waits_for_so_long_and_no_longer() -> None:
    quiet = after()
    assert [quiet.add(block(0.0)) for _ in range(5)] == [True, True, True, True, False]
    assert quiet.waiting == 4 * BLOCK
    assert quiet.take() == 4 * block(0.0)


def test_half_a_sample_waits_for_nothing() -> None:
    assert not after().add(bytes(3))


def test_empty_messages_are_not_kept() -> None:
    assert not after().add(b"")


class Stream:
    """A source, and the lengths of what its session has taken."""

    def __init__(self) -> None:
        start = messages.Start(encoding="pcm_s16le", sample_rate=16_000, channels=1)
        self.source = WebSocketSource(start, 5_000, lambda _: None)
        self.idle = True
        self.source.hold_quiet_audio(lambda: self.idle)
        self.taken: list[int] = []

    async def take(self) -> None:
        async for item in self.source.items():
            self.taken.append(len(getattr(item, "block", ())))

    async def feed(self, level: int, samples: int = BLOCK) -> None:
        self.source.feed(np.full(samples, level, "<i2").tobytes())
        await self.settle()

    async def settle(self) -> None:
        for _ in range(5):
            await asyncio.sleep(0)


@asynccontextmanager
async def stream() -> AsyncIterator[Stream]:
    made = Stream()
    taking = asyncio.create_task(made.take())
    await made.settle()
    yield made
    made.source.stop()
    await taking


async def test_half_a_second_of_silence_is_taken_at_once() -> None:
    async with stream() as made:
        for _ in range(12):
            await made.feed(0)
        assert made.taken == [5 * BLOCK, 5 * BLOCK]
        assert made.source.received_samples == 12 * BLOCK
        assert made.source.awaits_audio  # a client that sends no more is not taken for one that waits
    assert sum(made.taken) == 12 * BLOCK


async def test_what_is_louder_takes_what_waits_along() -> None:
    async with stream() as made:
        await made.feed(0)
        await made.feed(3_000)
        assert made.taken == [2 * BLOCK]


async def test_in_speech_nothing_waits() -> None:
    async with stream() as made:
        made.idle = False
        await made.feed(3_000)
        await made.feed(0)
        assert made.taken == [BLOCK, BLOCK]


@pytest.mark.parametrize("message", [messages.Flush(), messages.Gap(ms=100)])
async def test_what_is_no_audio_does_not_wait(message: messages.Flush | messages.Gap) -> None:
    async with stream() as made:
        await made.feed(0)
        made.source.handle(message)
        await made.settle()
        assert made.taken == [BLOCK, 0]


async def test_silence_that_nothing_follows_can_be_released() -> None:
    async with stream() as made:
        await made.feed(0)
        assert made.taken == []
        made.source.release()
        await made.settle()
        assert made.taken == [BLOCK]


async def test_what_waits_is_less_than_the_client_may_be_ahead() -> None:
    start = messages.Start(encoding="pcm_s16le", sample_rate=16_000, channels=1)
    acked: list[int] = []
    source = WebSocketSource(start, 1_000, acked.append)
    source.hold_quiet_audio(lambda: True)

    async def take() -> None:
        async for _ in source.items():
            pass

    taking = asyncio.create_task(take())
    for _ in range(20):
        source.feed(bytes(2 * 320 * 5))
        for _ in range(5):
            await asyncio.sleep(0)
        assert source.received_samples - source.acknowledged_samples <= 2 * 3_200
    source.stop()
    await taking
