"""Two hundred slow or silent clients: other clients are not affected, and no resources remain."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from emostream.streamer.audio.frontend import encode_pcm
from emostream.streamer.pipeline.event_log import EventLog
from emostream.streamer.protocol import messages, transport
from emostream.streamer.server.app import Server
from emostream.streamer.server.websocket_source import WebSocketSource
from tests.support.fakes import voice
from tests.support.serving import SPEECH, START, get, serving, socket_url, stream, timeless

EACH = 50
TIMEOUT_S = 120


@asynccontextmanager
async def sends_nothing(server: Server) -> AsyncIterator[None]:
    async with connect(socket_url(server), ping_interval=None, close_timeout=0.1):
        yield


@asynccontextmanager
async def never_reads(server: Server) -> AsyncIterator[None]:
    """Sends continuously and never reads."""
    async with connect(socket_url(server), max_queue=1, ping_interval=None, close_timeout=0.1) as socket:
        await socket.send(json.dumps(START))
        sending = asyncio.create_task(_send_on(socket))
        try:
            yield
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)


async def _send_on(socket: ClientConnection) -> None:
    block = encode_pcm(voice(500)[:, None], "pcm_s16le")
    with contextlib.suppress(ConnectionClosed):
        while True:
            await socket.send(block)
            await asyncio.sleep(0.01)


@asynccontextmanager
async def drips_a_handshake(server: Server) -> AsyncIterator[None]:
    """Sends a byte a second of a handshake that is never complete."""
    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET /v1/stream HTTP/1.1\r\nHo")

    async def drip() -> None:
        with contextlib.suppress(ConnectionError):
            for byte in b"st: localhost\r\nUpgrade: websocket\r\nX: " + b"y" * 1_000:
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(1.0)

    dripping = asyncio.create_task(drip())
    try:
        yield
    finally:
        dripping.cancel()
        await asyncio.gather(dripping, return_exceptions=True)
        writer.transport.abort()


@asynccontextmanager
async def disconnects_abruptly(server: Server) -> AsyncIterator[None]:
    socket = await connect(socket_url(server), ping_interval=None)
    await socket.send(json.dumps(START))
    assert isinstance(messages.decode_server_message(await socket.recv()), messages.Ready)
    await socket.send(encode_pcm(SPEECH[:16_000, None], "pcm_s16le"))
    socket.transport.abort()
    yield


async def metric(server: Server, name: str) -> float:
    text = (await get(server, "/metrics"))[2].decode()
    return float(next(line for line in text.splitlines() if line.startswith(f"{name} ")).split()[1])


async def test_two_hundred_slow_clients_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "SEND_TIMEOUT_S", 2.0)
    unread: list[int] = []
    ahead: list[int] = []
    drain, feed = EventLog.drain, WebSocketSource.feed

    async def seen_drain(self: EventLog) -> None:
        await drain(self)
        unread.extend(reader.unread for reader in self._readers)

    def seen_feed(self: WebSocketSource, data: bytes) -> None:
        feed(self, data)
        ahead.append(self.received_samples - self._acked)

    monkeypatch.setattr(EventLog, "drain", seen_drain)
    monkeypatch.setattr(WebSocketSource, "feed", seen_feed)
    limits = {
        "start_timeout_ms": 2_000,
        "resume_timeout_ms": 1_000,
        "max_load": 1.0,
        "connections_per_minute": 10_000,
    }
    async with asyncio.timeout(TIMEOUT_S), serving(**limits) as server:  # type: ignore[arg-type]
        alone = timeless(await stream(server, SPEECH))
        before = asyncio.all_tasks()
        async with AsyncExitStack() as clients:
            for number in range(EACH):
                for kind in (sends_nothing, never_reads, drips_a_handshake, disconnects_abruptly):
                    await clients.enter_async_context(kind(server))
                if number % 10 == 0:
                    assert timeless(await stream(server, SPEECH)) == alone
            for _ in range(5):
                assert timeless(await stream(server, SPEECH)) == alone
        # All clients are disconnected; sessions that waited for a resume end, too.
        for name in ("emostream_connections", "emostream_disconnected_sessions", "emostream_open_sessions"):
            while await metric(server, name):
                pass
        if left := asyncio.all_tasks() - before:
            await asyncio.wait(left)
    assert max(unread) <= 64
    credit = 5 * 16_000
    assert max(ahead) <= credit + 16_000
