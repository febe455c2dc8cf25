"""Sending and closing on a websocket whose peer may have stopped reading."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

from websockets.asyncio.connection import Connection
from websockets.exceptions import ConnectionClosed, ConnectionClosedError

SEND_TIMEOUT_S: Final = 30.0
"""A connection whose peer has read nothing for so long is dead. The websocket's own pings cannot detect that:
they wait behind the unread data.
"""


async def send_message(socket: Connection, message: str | bytes) -> None:
    """Raises ConnectionClosed, also where the peer has stopped reading."""
    try:
        async with asyncio.timeout(SEND_TIMEOUT_S):
            await socket.send(message)
    except TimeoutError:
        socket.transport.abort()
        raise ConnectionClosedError(None, None) from None


async def close_socket(socket: Connection, code: int) -> None:
    """Run the closing handshake. What the peer still sends is read and dropped: its close frame comes after
    it.
    """

    async def drop_messages() -> None:
        with suppress(ConnectionClosed):
            while True:
                await socket.recv()

    dropping = asyncio.create_task(drop_messages(), name="drop messages")
    try:
        await socket.close(code)
    finally:
        dropping.cancel()
        await asyncio.gather(dropping, return_exceptions=True)
