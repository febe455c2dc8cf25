"""A stream of this machine whose recording begins again, each time in a session of its own."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator

import numpy as np
import pytest
from rich.console import Console
from websockets.asyncio.client import connect

from emostream.streamer.audio.sources import Item, Pcm
from emostream.streamer.clock import WallClock
from emostream.streamer.config import LiveSettings, ServerSettings, Settings
from emostream.streamer.inference.engine import Engine
from emostream.streamer.inference.voice_probe import voice_probe
from emostream.streamer.server import local_stream
from emostream.streamer.server.listen import bind
from emostream.streamer.server.local_stream import serve_local_stream
from emostream.streamer.server.published_stream import PublishedStream
from tests.support.fakes import FakeRecognizer, silence, voice
from tests.support.waiting import until


class Speech:
    """A source of one utterance, which waits for `begin`."""

    sample_rate_hz, channels = 16_000, 1

    def __init__(self, begin: asyncio.Event) -> None:
        self._begin = begin

    def stop(self) -> None:
        pass

    async def items(self) -> AsyncIterator[Item]:
        await self._begin.wait()
        yield Pcm(np.concatenate([silence(300), voice(1_000), silence(900)])[:, None])


class WithoutPauses(WallClock):
    async def sleep_until(self, moment: float) -> None:
        await asyncio.sleep(0)


async def session_of(port: int) -> tuple[str, list[int], int]:
    """The session's name, the utterances of its finals, and the milliseconds of its waveform."""
    finals, waveform_ms = [], 0
    async with connect(f"ws://127.0.0.1:{port}/v1/stream", subprotocols=["emostream.v1"]) as socket:  # type: ignore[list-item]
        await socket.send(json.dumps({"type": "subscribe", "stream": "demo", "waveform_from_ms": 0}))
        ready = json.loads(await socket.recv())
        async for text in socket:
            event = json.loads(text)
            if event["type"] == "emotion" and event["final"]:
                finals.append(event["utterance"])
            if event["type"] == "waveform":
                waveform_ms = event["from_ms"] + event["step_ms"] * len(event["peaks"]) * 3 // 4
    return ready["session"], finals, waveform_ms


async def test_each_round_is_a_session(monkeypatch: pytest.MonkeyPatch) -> None:
    stop = asyncio.Event()
    monkeypatch.setattr(local_stream, "stop_on_signals", lambda: stop)
    settings = Settings(server=ServerSettings(port=0), live=LiveSettings(audio_buffer_s=60))
    recognizer = FakeRecognizer()
    engine = Engine(None, recognizer, WallClock(), voice_probe=voice_probe(recognizer))
    bound, printed = bind(settings.server), io.StringIO()
    begins = [asyncio.Event() for _ in range(3)]
    rounds = iter(begins)
    serving = asyncio.create_task(
        serve_local_stream(
            bound,
            Speech(next(rounds)),
            PublishedStream("demo", "A demo"),
            engine,
            settings,
            WithoutPauses(),
            [],
            Console(file=printed),
            next_round=lambda: Speech(next(rounds)),
        )
    )
    found: dict[str, tuple[list[int], int]] = {}
    async with asyncio.timeout(60):  # a bound on hanging
        await until(lambda: "The page" in printed.getvalue())
        for begin in begins[:2]:
            begin.set()
            known = len(found)
            while len(found) == known:  # the one before is published until the next one is
                name, finals, waveform_ms = await session_of(bound.getsockname()[1])
                found[name] = finals, waveform_ms
        stop.set()
        await serving
    assert [finals for finals, _ in found.values()] == [[1], [1]]
    for _, waveform_ms in found.values():
        assert waveform_ms == pytest.approx(2_200, abs=60)
