"""Streams that the server publishes, and serving their subscribers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from websockets.asyncio.server import ServerConnection

from ..audio.ring_buffer import AudioRingBuffer
from ..errors import ProtocolError
from ..pipeline.event_log import EventLog
from ..protocol import messages
from ..protocol.transport import send_message
from .event_stream import ReadPosition, follow, read_position


@dataclass(frozen=True, slots=True)
class PublishedStream:
    """A stream to which every authorized client may subscribe.

    name: in `/v1/streams` and `subscribe`. title, note: shown by the page. audio: its last seconds, where
    they are buffered.
    """

    name: str
    title: str
    note: str | None = None
    event_log: EventLog = field(default_factory=EventLog.with_random_id)
    audio: AudioRingBuffer | None = None


async def serve_subscriber(
    socket: ServerConnection,
    stream: PublishedStream,
    resume: messages.Resume | None,
    capacity: int,
    ready: Callable[[ReadPosition], messages.Ready],
) -> None:
    """Send `ready`, the kept events that the subscriber does not have, and new ones up to and with `closed`.

    capacity: how many new events may wait unread. Raises BadStartError, SlowConsumerError and
    ConnectionClosed.
    """
    event_log = stream.event_log
    same_stream = resume is not None and resume.session == event_log.session
    position = read_position(event_log, resume, resumed=same_stream)
    with event_log.reader(position.last_seq, policy="drop_slow", capacity=capacity) as reader:
        await send_message(socket, messages.encode(ready(position)))
        await follow(socket, reader, lambda: _reject_messages(socket))


async def _reject_messages(socket: ServerConnection) -> None:
    """A subscriber sends nothing; receiving all the same is how a lost connection is noticed."""
    while True:
        await socket.recv()
        error = ProtocolError(
            "expected nothing from a subscriber, got a message; start a session to send audio"
        )
        await socket.send(messages.encode(messages.Error(code=error.code, message=str(error), fatal=False)))
