"""Binary messages go to whom takes audio, all others to `recv`, and their order is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve

from emostream.streamer.server.audio_connection import AudioConnection

TIMEOUT_S = 60  # for a loaded machine; nothing here measures time


async def exchange(
    handle: Callable[[AudioConnection], Awaitable[None]],
    send: Callable[[ClientConnection], Awaitable[None]],
) -> None:
    """A server with one client. Raises what `handle` raises."""
    handled: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def serve_one(socket: ServerConnection) -> None:
        assert isinstance(socket, AudioConnection)
        try:
            await handle(socket)
            handled.set_result(None)
        except Exception as error:
            handled.set_exception(error)

    async with asyncio.timeout(TIMEOUT_S):
        async with serve(serve_one, "127.0.0.1", 0, create_connection=AudioConnection) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            async with connect(f"ws://127.0.0.1:{port}") as client:
                await send(client)
                await handled


async def test_the_order_of_messages_is_kept() -> None:
    seen: list[tuple[str, Any]] = []

    async def handle(socket: AudioConnection) -> None:
        assert await socket.recv() == "first"
        await socket.send("go on")
        with socket.audio_to(lambda data: seen.append(("taken", data))):
            while (message := await socket.recv()) != "last":
                seen.append(("received", message))

    async def fragments() -> Any:
        yield b"in "
        yield b"parts"

    async def send(client: ClientConnection) -> None:
        await client.send("first")
        await client.send(b"early")  # before audio is taken: it may be received or taken
        await client.recv()
        for number in range(50):
            await client.send(b"%d" % number)
            await client.send(f"text {number}")
        await client.send(fragments())
        await client.send("last")

    await exchange(handle, send)
    expected: list[str | bytes] = [b"early"]
    for number in range(50):
        expected += [b"%d" % number, f"text {number}"]
    assert [message for _, message in seen] == [*expected, b"in parts"]
    assert {how for how, message in seen if isinstance(message, str)} == {"received"}
    assert seen[-1] == ("received", b"in parts")


async def test_audio_wakes_no_task() -> None:
    seen: list[bytes] = []

    async def handle(socket: AudioConnection) -> None:
        with socket.audio_to(seen.append):
            await socket.send("go on")
            assert await socket.recv() == "last"
        assert await socket.recv() == b"after"

    async def send(client: ClientConnection) -> None:
        await client.recv()
        for number in range(3):
            await client.send(b"%d" % number)
        await client.send("last")
        await client.send(b"after")

    await exchange(handle, send)
    assert seen == [b"0", b"1", b"2"]


async def test_what_fails_while_audio_is_taken_is_raised_where_messages_are_received() -> None:
    def fail(data: bytes) -> None:
        raise RuntimeError(data.decode())

    async def handle(socket: AudioConnection) -> None:
        with socket.audio_to(fail):
            await socket.send("go on")
            await socket.recv()

    async def send(client: ClientConnection) -> None:
        await client.recv()
        await client.send(b"why")

    with pytest.raises(RuntimeError, match="why"):
        await exchange(handle, send)
