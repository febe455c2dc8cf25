"""A client for each server's own protocol: sends sound in real time and notes what became final when."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from emostream.streamer.audio.frontend import Samples, encode_pcm
from emostream.streamer.client import connect as connect_emostream
from emostream.streamer.config import SAMPLE_RATE_HZ
from emostream.streamer.protocol import messages

_BLOCK_SAMPLES: Final = SAMPLE_RATE_HZ // 50
_LAST_S: Final = 8.0
"""How long the last texts are waited for after the sound has ended."""
_READY_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class FinalText:
    """Text that a server will not change any more. at_s: when it arrived, until_s: which sound it reaches,
    both in seconds from the stream's first sample.
    """

    at_s: float
    until_s: float
    text: str


Go = Callable[[], Awaitable[None]]
"""Awaited once the server is ready for a stream; returns when its sound is to begin."""
Client = Callable[[str, Samples, Go], Awaitable[list[FinalText]]]
"""From a websocket URL and the sound of one stream."""


async def emostream(url: str, sound: Samples, go: Go) -> list[FinalText]:
    start = messages.Start(encoding="pcm_s16le", sample_rate=SAMPLE_RATE_HZ, channels=1)
    finals = []
    async with connect_emostream(url, start) as stream:
        await go()
        clock = _StreamClock()
        async for event in stream.recognize(_blocks(sound, clock, "pcm_s16le")):
            if isinstance(event, messages.Emotion) and event.final:
                finals.append(FinalText(clock.now_s(), event.end_ms / 1_000, event.text or ""))
    return finals


async def whisper_live(url: str, sound: Samples, go: Go) -> list[FinalText]:
    options = {"uid": str(uuid.uuid4()), "language": "en", "task": "transcribe", "model": "", "use_vad": True}

    def final_text(message: Any) -> tuple[float, str] | None:
        done = [segment for segment in message.get("segments", ()) if segment.get("completed")]
        return (float(done[-1]["end"]), done[-1]["text"]) if done else None

    async with connect(url, compression=None) as socket:
        await socket.send(json.dumps(options))
        await _wait_for(socket, lambda message: message.get("message") == "SERVER_READY")
        await go()
        return await _exchange(socket, sound, "pcm_f32le", final_text, b"END_OF_AUDIO")


async def whisperlivekit(url: str, sound: Samples, go: Go) -> list[FinalText]:
    def final_text(message: Any) -> tuple[float, str] | None:
        # What is not confirmed is in `buffer_transcription`; lines without text are silence.
        lines = [line for line in message.get("lines", ()) if line.get("text")]
        return (_clock_seconds(lines[-1]["end"]), lines[-1]["text"]) if lines else None

    async with connect(url, compression=None) as socket:
        await _wait_for(socket, lambda message: message.get("type") == "config")
        await go()
        return await _exchange(socket, sound, "pcm_s16le", final_text, b"")


async def realtimestt(url: str, sound: Samples, go: Go) -> list[FinalText]:
    async with connect(url, compression=None) as socket:
        await _wait_for(socket, lambda message: bool(message.get("ready")))
        await go()
        return await _exchange(
            socket,
            sound,
            "pcm_s16le",
            lambda message: (float(message["until_s"]), str(message["text"])),
            None,
        )


class _StreamClock:
    """Seconds since the first block was due to begin."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()

    def now_s(self) -> float:
        return self._loop.time() - self._began

    async def sleep_until(self, moment_s: float) -> None:
        await asyncio.sleep(max(0.0, moment_s - self.now_s()))


async def _exchange(
    socket: ClientConnection,
    sound: Samples,
    encoding: str,
    final_text: Callable[[Any], tuple[float, str] | None],
    end: bytes | None,
) -> list[FinalText]:
    """end: the message after the last block, if the protocol has one."""
    clock = _StreamClock()
    finals: list[FinalText] = []

    async def receive() -> None:
        with suppress(ConnectionClosed):
            async for message in socket:
                if (found := final_text(json.loads(message))) is not None:
                    finals.append(FinalText(clock.now_s(), *found))

    receiving = asyncio.create_task(receive(), name="receive")
    try:
        async for block in _blocks(sound, clock, encoding):
            await socket.send(block)
        await clock.sleep_until(len(sound) / SAMPLE_RATE_HZ + _LAST_S)
        if end is not None:
            await socket.send(end)
    finally:
        receiving.cancel()
        await asyncio.gather(receiving, return_exceptions=True)
    return finals


async def _blocks(sound: Samples, clock: _StreamClock, encoding: str) -> AsyncIterator[bytes]:
    """A block of 20 ms when its last sample is due."""
    for first in range(0, len(sound), _BLOCK_SAMPLES):
        block = sound[first : first + _BLOCK_SAMPLES]
        await clock.sleep_until((first + len(block)) / SAMPLE_RATE_HZ)
        if encoding == "pcm_f32le":
            yield block.astype("<f4").tobytes()
        else:
            yield encode_pcm(block[:, np.newaxis], "pcm_s16le")


async def _wait_for(socket: ClientConnection, is_it: Callable[[Any], bool]) -> None:
    """Raises TimeoutError."""
    async with asyncio.timeout(_READY_S):
        while not is_it(json.loads(await socket.recv())):
            pass


def _clock_seconds(text: str) -> float:
    """From H:MM:SS.cc."""
    hours, minutes, seconds = text.split(":")
    return 3_600 * int(hours) + 60 * int(minutes) + float(seconds)
