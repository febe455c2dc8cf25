"""What a session tells a client that has stopped to send."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from emostream.streamer.audio.sources import Item, SourceWarning
from emostream.streamer.pipeline.event_log import EventLog
from emostream.streamer.protocol import messages
from emostream.streamer.server.client_session import ClientSession
from emostream.streamer.server.websocket_source import WebSocketSource
from tests.support.fakes import ManualClock

START = messages.Start(encoding="pcm_s16le", sample_rate=16_000, channels=1)


class TakesItems:
    """In place of a session: what its source yields."""

    def __init__(self, source: WebSocketSource) -> None:
        self._source = source
        self.items: list[Item] = []

    async def run(self) -> None:
        async for item in self._source.items():
            self.items.append(item)

    def stop(self) -> None:
        self._source.stop()


class World:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.source = WebSocketSource(START, 5_000, lambda samples: None)
        self.pipeline = TakesItems(self.source)
        self.client = ClientSession(
            START,
            None,
            self.pipeline,  # type: ignore[arg-type]
            self.source,
            EventLog("s"),
            self.clock,
            lambda: None,
        )

    async def after(self, seconds: float) -> None:
        """Limits are enforced every second."""
        for _ in range(round(seconds)):
            self.clock.advance_to(self.clock.now() + 1.0)
            self.client.enforce_limits(idle_s=60, longest_s=600, resume_timeout_s=60)

    async def told(self) -> list[SourceWarning]:
        """At the session's end."""
        self.source.stop()
        await self.client._running
        return [item for item in self.pipeline.items if isinstance(item, SourceWarning)]


@asynccontextmanager
async def world(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    monkeypatch.setattr(ClientSession, "attached", True)
    made = World()
    yield made
    await made.client.cancel()


async def test_a_silent_client_is_told_once_in_each_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    async with world(monkeypatch) as made:
        await made.after(5)
        made.client._note_message()
        await made.after(9)
        made.client._note_message()
        await made.after(20)
        told = await made.told()
    assert [one.code for one in told] == ["no_audio"] * 2
    assert "got none for 5 s" in told[0].message


async def test_a_client_is_not_silent_while_the_session_is_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    async with world(monkeypatch) as made:
        made.source.feed(bytes(2 * 16_000 * 6))  # and the session takes nothing yet
        await made.after(20)
        assert await made.told() == []


async def test_a_stop_whose_audio_does_not_come_ends_at_what_has(monkeypatch: pytest.MonkeyPatch) -> None:
    async with world(monkeypatch) as made:
        made.source.feed(bytes(2 * 1_000))
        while not made.source.awaits_audio:  # noqa: ASYNC110 - the session takes what there is
            await asyncio.sleep(0)
        made.source.handle(messages.Stop(at_samples=96_000))
        waiting = [made.source.waiting_samples]
        await made.after(12)
        waiting.append(made.source.waiting_samples)
        assert waiting == [96_000, None]
        told = await made.told()
    assert [one.code for one in told] == ["no_audio", "bad_message"]
    assert "expected audio up to stop.at_samples 96000, got 1000 samples" in told[1].message
