"""A socket that says something, and notices when nobody takes it any more."""

from __future__ import annotations

import asyncio
from typing import Final

from websockets.asyncio.connection import Connection
from websockets.exceptions import ConnectionClosedError

STALL_S: Final = 30.0
"""A line that has taken nothing for so long is dead. Its own pings cannot tell: they wait behind what it
has not taken.
"""


async def say(socket: Connection, message: str | bytes) -> None:
    """Raises ConnectionClosed, also where the other end has stopped to read."""
    try:
        async with asyncio.timeout(STALL_S):
            await socket.send(message)
    except TimeoutError:
        socket.transport.abort()
        raise ConnectionClosedError(None, None) from None
