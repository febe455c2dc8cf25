"""The server's own streams, and a websocket that watches one."""

from __future__ import annotations

from dataclasses import dataclass, field

from websockets.asyncio.server import ServerConnection

from ..audio.tee import AudioRingBuffer
from ..concurrency import task_group
from ..errors import ProtocolError
from ..pipeline.event_log import Hub
from ..protocol import messages
from ..protocol.transport import say


@dataclass(frozen=True, slots=True)
class PublishedStream:
    """A stream of the server's own that anybody at the door may watch.

    name: in `/v1/streams` and `subscribe`. title, note: what the page shows. audio: its last seconds, where
    they are kept.
    """

    name: str
    title: str
    note: str | None = None
    hub: Hub = field(default_factory=Hub.with_new_id)
    audio: AudioRingBuffer | None = None


async def serve_subscriber(
    socket: ServerConnection, stream: PublishedStream, capacity: int, last_seq: int = 0
) -> None:
    """What is kept and what comes behind `last_seq`, up to and with `closed`.

    capacity: how many events may wait unread. Raises SlowConsumerError and ConnectionClosed.
    """
    with stream.hub.subscribe(capacity, last_seq) as subscription:
        async with task_group() as group:
            reader = group.create_task(_hear_out(socket), name="read")
            async for event in subscription:
                await say(socket, messages.encode(event))
            reader.cancel()


async def _hear_out(socket: ServerConnection) -> None:
    """A watcher has nothing to say; hearing it out is how its leaving is noticed."""
    while True:
        await socket.recv()
        error = ProtocolError("expected nothing from a watcher, got a message; start a session to send audio")
        await socket.send(messages.encode(messages.Error(code=error.code, message=str(error), fatal=False)))
