"""A stream whose audio never waits: order, bounds, what happens to what is too much."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager

import pytest

from emostream.integrations import LocalEngine, ServerEngine
from emostream.integrations.emotion_stream import EmotionStream, engine_of
from emostream.streamer.errors import FlowControlError
from emostream.streamer.protocol import messages

START = messages.Start(encoding="pcm_s16le", sample_rate=16_000, channels=2)
SECOND = bytes(64_000)
CLOSED = messages.Closed(
    reason="end_of_stream", totals=messages.Totals(audio_ms=0, utterances=0, dropped_ms=0)
)


class RecordingConnection:
    """Keeps what it is sent; its events are `closed`, after `stop`."""

    def __init__(self) -> None:
        self.sent: list[str | int] = []
        self.after_send: Callable[[], None] = lambda: None
        self._stopped = asyncio.Event()

    async def send(self, data: bytes) -> None:
        self.sent.append(len(data))
        self.after_send()

    async def gap(self, ms: int) -> None:
        self.sent.append(f"gap {ms}")

    async def flush(self) -> None:
        self.sent.append("flush")

    async def stop(self) -> None:
        self.sent.append("stop")
        self._stopped.set()

    async def events(self) -> AsyncIterator[messages.ServerEvent]:
        await self._stopped.wait()
        yield CLOSED


class RecordingEngine:
    def __init__(self) -> None:
        self.connection = RecordingConnection()

    async def ready(self) -> None:
        pass

    @asynccontextmanager
    async def connect(self, start: messages.Start) -> AsyncIterator[RecordingConnection]:
        yield self.connection


async def sent_by(stream: EmotionStream, engine: RecordingEngine) -> list[str | int]:
    async with asyncio.timeout(5), aclosing(stream.events()) as events:
        assert [event async for event in events] == [CLOSED]
    return engine.connection.sent


async def test_audio_and_flushes_keep_their_order_and_audio_that_waits_goes_together() -> None:
    engine = RecordingEngine()
    stream = EmotionStream(engine, START)
    for _ in range(3):
        stream.send(SECOND)
    stream.flush()
    stream.send(SECOND)
    stream.end()
    stream.end()
    stream.send(SECOND)
    assert stream.position_ms == 4_000
    assert await sent_by(stream, engine) == [3 * 64_000, "flush", 64_000, "stop"]


async def test_what_is_too_much_is_dropped_and_reported_where_it_was() -> None:
    engine = RecordingEngine()
    stream = EmotionStream(engine, START, max_waiting_s=2)
    for _ in range(5):
        stream.send(SECOND)
    assert stream.position_ms == 5_000
    stream.end()
    assert await sent_by(stream, engine) == [2 * 64_000, "gap 3000", "stop"]


async def test_room_that_is_made_is_used_again() -> None:
    engine = RecordingEngine()
    stream = EmotionStream(engine, START, max_waiting_s=1)

    rounds = iter(range(2))

    def speak() -> None:
        """A second, and another for which there is no room."""
        stream.send(SECOND)
        stream.send(SECOND)

    engine.connection.after_send = lambda: stream.end() if next(rounds, None) is None else speak()
    speak()
    sent = await sent_by(stream, engine)
    assert sent == [64_000, "gap 1000", 64_000, "gap 1000", 64_000, "gap 1000", "stop"]


async def test_audio_that_is_not_taken_ends_the_stream_with_the_reason() -> None:
    engine = RecordingEngine()
    stream = EmotionStream(engine, START)

    def fail() -> None:
        raise FlowControlError("expected less audio, got more")

    engine.connection.after_send = fail
    stream.send(SECOND)
    with pytest.raises(FlowControlError, match="expected less audio"):
        await sent_by(stream, engine)
    assert engine.connection.sent == [64_000, "stop"]


def test_an_engine_is_named_by_nothing_an_address_or_itself() -> None:
    server = engine_of("ws://127.0.0.1:9")
    assert isinstance(server, ServerEngine)
    assert server.url == "ws://127.0.0.1:9"
    assert engine_of(None) is engine_of(None)
    assert isinstance(engine_of(None), LocalEngine)
    assert engine_of(server) is server


@pytest.mark.parametrize("size", [1, 3, 4, 6])
async def test_the_clock_counts_whole_sample_frames(size: int) -> None:
    stream = EmotionStream(RecordingEngine(), START)
    for _ in range(64_000):
        stream.send(bytes(size))
    assert stream.position_ms == size * 1_000
