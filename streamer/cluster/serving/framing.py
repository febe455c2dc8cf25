"""Framing of the messages between a server and its gateway to the cluster, over two pipes.

A frame is its length, its kind, the number of the call it belongs to, and a payload that depends on the kind.
"""

from __future__ import annotations

import asyncio
import os
import sys
from enum import IntEnum
from struct import Struct
from typing import Final

_HEADER: Final = Struct("<IBQ")


class FrameKind(IntEnum):
    """The kinds of frames. To the gateway go CALL: a `messages.ReplicaCall` for any replica; CANCEL: the
    reply to that call is no longer needed.

    From it come REPLY: a `messages.ReplicaReply`. CALL_LOST: the replica was lost during the call; the reason
    as text. LOG: text for the server's log. READY: the cluster replies; a `messages.ClusterInfo`. FAILED: it
    does not; the reason as text. HEALTH: a `messages.ClusterHealth`.
    """

    CALL = 1
    CANCEL = 2
    REPLY = 3
    CALL_LOST = 4
    LOG = 5
    READY = 6
    FAILED = 7
    HEALTH = 8


Frame = tuple[FrameKind, int, bytes]


def pack_frame(kind: FrameKind, number: int, payload: bytes = b"") -> bytes:
    return _HEADER.pack(len(payload), kind, number) + payload


async def read_frame(reader: asyncio.StreamReader) -> Frame | None:
    """The next frame; None when the other side has exited, perhaps in the middle of a frame."""
    try:
        length, kind, number = _HEADER.unpack(await reader.readexactly(_HEADER.size))
        return FrameKind(kind), number, await reader.readexactly(length)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None


async def open_pipes(fd: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A gateway's ends of the pipes: frames arrive on its standard input and leave on this descriptor."""
    loop = asyncio.get_running_loop()
    frames = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(frames), sys.stdin.buffer)
    transport, protocol = await loop.connect_write_pipe(
        asyncio.streams.FlowControlMixin, os.fdopen(fd, "wb", buffering=0)
    )
    return frames, asyncio.StreamWriter(transport, protocol, None, loop)
