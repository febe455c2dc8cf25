"""What a server and its gateway to the cluster write to each other: frames over two pipes.

A frame is its length, its kind, the number of the call it belongs to, and a payload that the kind explains.
"""

from __future__ import annotations

import asyncio
import os
import sys
from enum import IntEnum
from struct import Struct
from typing import Final

_HEAD: Final = Struct("<IBQ")


class Kind(IntEnum):
    """The first two go to the gateway. ASK: a `calls.Call` for any replica. FORGET: nobody waits for that
    call any more.

    ANSWER: a replica's `calls.Answer`. LOST: who had the call is lost, and why, as text. SAID: for the
    server's log, as text. OPENED: the cluster answers; a `calls.ClusterInfo`. REFUSED: it will not; text.
    TOLD: a `calls.ClusterHealth`.
    """

    ASK = 1
    FORGET = 2
    ANSWER = 3
    LOST = 4
    SAID = 5
    OPENED = 6
    REFUSED = 7
    TOLD = 8


Frame = tuple[Kind, int, bytes]


def pack(kind: Kind, number: int, payload: bytes = b"") -> bytes:
    return _HEAD.pack(len(payload), kind, number) + payload


async def read(reader: asyncio.StreamReader) -> Frame | None:
    """None at the end, which may come in the middle of a frame: the other side is gone."""
    try:
        length, kind, number = _HEAD.unpack(await reader.readexactly(_HEAD.size))
        return Kind(kind), number, await reader.readexactly(length)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None


async def pipes(fd: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Of a gateway: frames come by its standard input, and go by this descriptor."""
    loop = asyncio.get_running_loop()
    frames = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(frames), sys.stdin.buffer)
    transport, protocol = await loop.connect_write_pipe(
        asyncio.streams.FlowControlMixin, os.fdopen(fd, "wb", buffering=0)
    )
    return frames, asyncio.StreamWriter(transport, protocol, None, loop)
