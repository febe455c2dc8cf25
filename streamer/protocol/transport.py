"""A socket that says something, and notices when nobody takes it any more."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

from websockets.asyncio.connection import Connection
from websockets.exceptions import ConnectionClosed, ConnectionClosedError

SEND_TIMEOUT_S: Final = 30.0
"""A line that has taken nothing for so long is dead. Its own pings cannot tell: they wait behind what it
has not taken.
"""


async def say(socket: Connection, message: str | bytes) -> None:
    """Raises ConnectionClosed, also where the other end has stopped to read."""
    try:
        async with asyncio.timeout(SEND_TIMEOUT_S):
            await socket.send(message)
    except TimeoutError:
        socket.transport.abort()
        raise ConnectionClosedError(None, None) from None


async def close_socket(socket: Connection, code: int) -> None:
    """Close it in good order. What still comes is read and thrown away: the answer comes behind it."""

    async def hear_out() -> None:
        with suppress(ConnectionClosed):
            while True:
                await socket.recv()

    hearing = asyncio.create_task(hear_out(), name="hear out")
    try:
        await socket.close(code)
    finally:
        hearing.cancel()
        await asyncio.gather(hearing, return_exceptions=True)
