"""A server with fake models on the loopback, and clients of a few lines."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import numpy as np
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from emostream.streamer.audio.frontend import encode_pcm
from emostream.streamer.client import ClientEvent, ConnectionLost, Reconnected
from emostream.streamer.client import connect as connect_client
from emostream.streamer.clock import WallClock
from emostream.streamer.config import ServerSettings, Settings
from emostream.streamer.inference.engine import Engine
from emostream.streamer.inference.voice_probe import voice_probe
from emostream.streamer.protocol import messages
from emostream.streamer.server.app import Server
from emostream.streamer.server.listen import bind
from emostream.streamer.server.published_stream import PublishedStream
from tests.support.fakes import FakeRecognizer, FakeTranscriber, silence, voice

START = {"type": "start", "encoding": "pcm_s16le", "sample_rate": 16_000, "channels": 1}
SPEECH = np.concatenate([silence(300), voice(1_000), silence(900), voice(600, seed=1), silence(700)])


@asynccontextmanager
async def serving(
    *,
    transcriber: FakeTranscriber | None = None,
    recognizer: FakeRecognizer | None = None,
    streams: Sequence[PublishedStream] = (),
    **server: Any,
) -> AsyncIterator[Server]:
    limits: dict[str, Any] = {"port": 0} | server
    settings = Settings(server=ServerSettings(**limits))
    recognizer = recognizer or FakeRecognizer()
    engine = Engine(
        transcriber,
        recognizer,
        WallClock(),
        call_timeout_s=settings.server.model_timeout_ms / 1_000,
        voice_probe=voice_probe(recognizer),
    )
    async with (
        engine.running(),
        Server(bind(settings.server), engine, settings, WallClock(), streams) as listening,
    ):
        yield listening


def socket_url(server: Server) -> str:
    return server.url.replace("http", "ws") + "/v1/stream"


@asynccontextmanager
async def started(server: Server, start: dict[str, Any] = START) -> AsyncIterator[ClientConnection]:
    async with connect(socket_url(server), compression=None) as socket:
        await socket.send(json.dumps(start))
        assert isinstance(messages.decode_server_message(await socket.recv()), messages.Ready)
        yield socket


async def rest(socket: ClientConnection) -> tuple[list[messages.ServerEvent], int]:
    """Every event until the close, and its code."""
    seen: list[messages.ServerEvent] = []
    while True:
        try:
            event = messages.decode_server_message(await socket.recv())
        except ConnectionClosed as closed:
            return seen, 1006 if closed.rcvd is None else closed.rcvd.code
        if not isinstance(event, messages.Ack | messages.Ready | messages.Waveform):
            seen.append(event)


async def stream(server: Server, sound: np.ndarray, block: int = 3_200) -> list[messages.ServerEvent]:
    start = messages.Start(encoding="pcm_f32le", sample_rate=16_000, channels=1)

    async def blocks() -> AsyncIterator[bytes]:
        for first in range(0, len(sound), block):
            yield encode_pcm(sound[first : first + block], "pcm_f32le")

    async with connect_client(socket_url(server), start) as client:
        return [
            event
            async for event in client.recognize(blocks())
            if not isinstance(event, ConnectionLost | Reconnected)
        ]


def errors(seen: Sequence[messages.ServerEvent]) -> list[tuple[str, bool]]:
    return [(event.code, event.fatal) for event in seen if isinstance(event, messages.Error)]


async def get(server: Server, path: str, host: str | None = None) -> tuple[int, Any, bytes]:
    def fetch() -> tuple[int, Any, bytes]:
        request = urllib.request.Request(server.url + path, headers={"Host": host} if host else {})
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                return response.status, response.headers, response.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers, error.read()

    return await asyncio.to_thread(fetch)


async def ready(socket: ClientConnection) -> messages.Ready:
    message = messages.decode_server_message(await socket.recv())
    assert isinstance(message, messages.Ready)
    return message


def timeless(seen: Sequence[ClientEvent]) -> dict[str, list[Any]]:
    """The events by their type, without what depends on the wall clock: how long things took, and whether
    an utterance begins before the final of the one before. Each came once, and in order.
    """
    server_events = [event for event in seen if not isinstance(event, ConnectionLost | Reconnected)]
    assert [event.seq for event in server_events] == list(range(1, len(server_events) + 1))
    kinds: dict[str, list[Any]] = {}
    for event in server_events:
        fields = msgspec.to_builtins(event)
        kinds.setdefault(fields.pop("type"), []).append(
            {name: value for name, value in fields.items() if name not in ("seq", "timing")}
        )
    return kinds
