"""The peers' protocols against scripted servers."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest
from websockets.asyncio.server import ServerConnection, serve

from benchmarks.peers import clients
from benchmarks.peers.clients import Client, FinalText
from emostream.streamer.audio.frontend import encode_pcm
from emostream.streamer.protocol import messages
from tests.support.recorded_session import final, session_of, steps_of

SOUND = np.linspace(-0.5, 0.5, 3_200, dtype=np.float32)
Handler = Callable[[ServerConnection], Awaitable[None]]


@pytest.fixture(autouse=True)
def _no_wait_for_the_last_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "_LAST_S", 0.3)


async def finals_of(client: Client, handler: Handler) -> list[FinalText]:
    async with serve(handler, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        return await client(f"ws://127.0.0.1:{port}/", SOUND, at_once)


async def at_once() -> None:
    pass


async def received(socket: ServerConnection, samples: int, sample_bytes: int) -> bytes:
    data = b""
    while len(data) < samples * sample_bytes:
        message = await socket.recv()
        assert isinstance(message, bytes)
        data += message
    return data


async def answer(socket: ServerConnection, *messages: Any) -> None:
    for message in messages:
        await socket.send(json.dumps(message))
    await socket.wait_closed()


async def test_whisper_live_takes_floats_and_marks_completed_segments() -> None:
    async def handle(socket: ServerConnection) -> None:
        assert json.loads(await socket.recv())["task"] == "transcribe"
        await socket.send(json.dumps({"message": "SERVER_READY"}))
        data = await received(socket, len(SOUND), 4)
        np.testing.assert_array_equal(np.frombuffer(data, "<f4"), SOUND)
        done = {"start": "0.0", "end": "1.500", "text": "so", "completed": True}
        growing = {"start": "1.5", "end": "2.000", "text": "far", "completed": False}
        await answer(socket, {"segments": [growing]}, {"segments": [done, growing]})

    (found,) = await finals_of(clients.whisper_live, handle)
    assert (found.until_s, found.text) == (1.5, "so")
    assert found.at_s > 0.0


async def test_whisperlivekit_takes_pcm_and_its_lines_are_what_is_confirmed() -> None:
    async def handle(socket: ServerConnection) -> None:
        await socket.send(json.dumps({"type": "config"}))
        await received(socket, len(SOUND), 2)
        silence = {"text": "", "start": "0:00:00.00", "end": "0:00:00.10"}
        line = {"text": "so", "start": "0:00:00.10", "end": "1:01:02.50"}
        longer = line | {"text": "so far", "end": "1:01:03.00"}
        await answer(
            socket,
            {"lines": [], "buffer_transcription": "so"},
            {"lines": [silence], "buffer_transcription": "so far"},
            {"lines": [silence, line], "buffer_transcription": " far"},
            {"lines": [silence, longer, silence], "buffer_transcription": ""},
        )

    found = await finals_of(clients.whisperlivekit, handle)
    assert [(one.until_s, one.text) for one in found] == [(3_662.5, "so"), (3_663.0, "so far")]


async def test_emostream_s_finals_are_noted_when_they_come_and_interim_results_are_not() -> None:
    ready = steps_of([])[0][0]
    spoken = [final(1, "sad", 0, 150, "so far"), final(2, "sad", 150, 200, "and on")]

    async def handle(socket: ServerConnection) -> None:
        assert json.loads(await socket.recv())["encoding"] == "pcm_s16le"
        await socket.send(ready)
        assert await received(socket, len(SOUND), 2) == encode_pcm(SOUND[:, np.newaxis], "pcm_s16le")
        assert json.loads(await socket.recv())["type"] == "stop"
        for event in session_of(spoken):
            await socket.send(messages.encode(event))

    found = await finals_of(clients.emostream, handle)
    assert [(one.until_s, one.text) for one in found] == [(0.15, "so far"), (0.2, "and on")]
    assert all(one.at_s >= len(SOUND) / 16_000 for one in found)  # the last block is due when it ends


async def test_realtimestt_sends_each_text_with_its_end() -> None:
    async def handle(socket: ServerConnection) -> None:
        await socket.send(json.dumps({"ready": True}))
        await received(socket, len(SOUND), 2)
        await answer(socket, {"text": "so far", "until_s": 0.15})

    (found,) = await finals_of(clients.realtimestt, handle)
    assert (found.until_s, found.text) == (0.15, "so far")
