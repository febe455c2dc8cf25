"""One socket that follows one event log: from which position, its events, and acknowledgements between."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final

from websockets.asyncio.server import ServerConnection

from ..concurrency import task_group
from ..errors import BadStartError
from ..pipeline.event_log import EventLog, EventReader
from ..protocol import messages
from ..protocol.transport import send_message

_NOTHING: Final = messages.Ack(received_samples=0, committed_samples=0)


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
    acknowledgement: Callable[[int], messages.Ack] = lambda last_seq: _NOTHING,
) -> None:
    """Send every event up to and with `closed`, while `receive` reads what the client sends.

    acknowledgement: what a client that has the events up to this one may know. Acknowledgements are merged:
    one goes out when the socket has room, with the counts of that moment. Raises ConnectionClosed and
    SlowConsumerError.
    """
    async with task_group() as group:
        receiving = group.create_task(receive(), name="receive")
        await _send_events(socket, reader, acknowledgement)
        receiving.cancel()


async def _send_events(
    socket: ServerConnection, reader: EventReader, acknowledgement: Callable[[int], messages.Ack]
) -> None:
    acked, acked_seq = _NOTHING, reader.last_seq  # what was sent to an earlier socket may be lost
    while True:
        ack = acknowledgement(reader.last_seq)
        if _is_due(ack, acked, event_sent=reader.last_seq != acked_seq):
            acked, acked_seq = ack, reader.last_seq
            await send_message(socket, messages.encode(ack))
        elif (event := reader.pop()) is not None:
            await send_message(socket, messages.encode(event))
        elif reader.ended:
            return
        else:
            await reader.wait()


def _is_due(ack: messages.Ack, last: messages.Ack, *, event_sent: bool) -> bool:
    """What is committed moves on with every block; it is told after events and with the rest."""
    if (ack.received_samples, ack.waiting_samples) != (last.received_samples, last.waiting_samples):
        return True
    return event_sent and ack.committed_samples != last.committed_samples
