"""A peer that has stopped reading is noticed: its socket's own pings wait behind what it has not read."""

from __future__ import annotations

import asyncio

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from emostream.streamer.pipeline.event_log import EventLog
from emostream.streamer.protocol import messages, transport
from emostream.streamer.server.published_stream import PublishedStream
from tests.support.serving import get, serving, socket_url

TIMEOUT_S = 60


@pytest.fixture(autouse=True)
def short_send_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "SEND_TIMEOUT_S", 0.5)


async def test_a_subscriber_that_never_reads_is_disconnected() -> None:
    event_log = EventLog("s")
    async with (
        asyncio.timeout(TIMEOUT_S),
        serving(streams=[PublishedStream("own", "A stream", None, event_log)]) as server,
        # A queue of one message: what comes then stays in the socket.
        connect(socket_url(server), max_queue=1, ping_interval=None, close_timeout=0.1) as socket,
    ):
        await socket.send(messages.encode(messages.Subscribe(stream="own")))
        await socket.recv()
        for number in range(300):
            event_log.append(messages.Dropped(ms=number, reason="word " * 20_000))
        while b"emostream_connections 1.0" in (await get(server, "/metrics"))[2]:
            pass
        with pytest.raises(ConnectionClosed):
            while True:
                await socket.recv()


async def test_sending_to_a_peer_that_does_not_read_ends() -> None:
    over = asyncio.Event()

    async def never_reads(socket: ServerConnection) -> None:
        await over.wait()

    async with (
        asyncio.timeout(TIMEOUT_S),
        serve(never_reads, "127.0.0.1", 0, max_queue=1, close_timeout=0.1) as server,
    ):
        port = server.sockets[0].getsockname()[1]
        async with connect(f"ws://127.0.0.1:{port}", compression=None, close_timeout=0.1) as socket:
            with pytest.raises(ConnectionClosed):
                while True:
                    await transport.send_message(socket, bytes(100_000))
            with pytest.raises(ConnectionClosed):
                await socket.recv()
        over.set()


async def test_a_close_is_answered_by_a_peer_that_still_sends() -> None:
    """The answer comes after what the peer has sent by then, which is read and dropped."""
    codes: list[int | None] = []

    async def close(socket: ServerConnection) -> None:
        await transport.close_socket(socket, 4429)
        codes.append(None if socket.protocol.close_rcvd is None else socket.protocol.close_rcvd.code)

    async with (
        asyncio.timeout(TIMEOUT_S),
        serve(close, "127.0.0.1", 0, max_queue=1, close_timeout=TIMEOUT_S) as server,
    ):
        port = server.sockets[0].getsockname()[1]
        async with connect(f"ws://127.0.0.1:{port}", compression=None) as socket:
            with pytest.raises(ConnectionClosed) as ended:
                while True:
                    await socket.send(bytes(100_000))
    assert ended.value.rcvd is not None
    assert ended.value.rcvd.code == 4429
    assert codes == [4429]
