"""One socket that follows one event log: from which position, its events, and acknowledgements between."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from websockets.asyncio.server import ServerConnection

from ..concurrency import task_group
from ..errors import BadStartError
from ..pipeline.event_log import EventLog, EventReader
from ..protocol import messages
from ..protocol.transport import send_message


@dataclass(frozen=True, slots=True)
class ReadPosition:
    """Where a client continues to read.

    resumed: whether it is in the stream that it read before. last_seq: of the last event that it has, 0 for
    none. lost_from_seq: the first event after that which is kept no more, None where all are.
    """

    resumed: bool
    last_seq: int
    lost_from_seq: int | None


def read_position(event_log: EventLog, resume: messages.Resume | None, *, resumed: bool) -> ReadPosition:
    """For the `resume` of a `start` or `subscribe`. resumed: whether this log is the one that it means.

    Raises BadStartError for a position that this log has not reached.
    """
    if resume is None:
        return ReadPosition(resumed=False, last_seq=0, lost_from_seq=None)
    if not resumed:
        return ReadPosition(resumed=False, last_seq=0, lost_from_seq=resume.last_seq + 1)
    if not 0 <= resume.last_seq <= event_log.last_seq:
        raise BadStartError(
            f"expected resume.last_seq of 0 to {event_log.last_seq}, got {resume.last_seq}; "
            "send the last seq that arrived"
        )
    return ReadPosition(True, resume.last_seq, event_log.lost_from(resume.last_seq))


async def follow(
    socket: ServerConnection,
    reader: EventReader,
    receive: Callable[[], Coroutine[Any, Any, None]],
    acknowledged_samples: Callable[[], int] = lambda: 0,
) -> None:
    """Send every event up to and with `closed`, while `receive` reads what the client sends.

    Acknowledgements are merged: one goes out when the socket has room, with the count of that moment. Raises
    ConnectionClosed and SlowConsumerError.
    """
    async with task_group() as group:
        receiving = group.create_task(receive(), name="receive")
        await _send_events(socket, reader, acknowledged_samples)
        receiving.cancel()


async def _send_events(
    socket: ServerConnection, reader: EventReader, acknowledged_samples: Callable[[], int]
) -> None:
    acked = 0  # what was sent to an earlier socket may be lost
    while True:
        if acked != (samples := acknowledged_samples()):
            acked = samples
            await send_message(socket, messages.encode(messages.Ack(received_samples=acked)))
        elif (event := reader.pop()) is not None:
            await send_message(socket, messages.encode(event))
        elif reader.ended:
            return
        else:
            await reader.wait()
