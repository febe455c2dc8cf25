"""Streams that the server publishes, and serving their subscribers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from websockets.asyncio.server import ServerConnection

from ..audio.peaks import PeakHistory
from ..audio.ring_buffer import AudioRingBuffer
from ..concurrency import task_group
from ..errors import BadStartError, ProtocolError
from ..pipeline.event_log import EventLog
from ..protocol import messages
from ..protocol.transport import send_message
from .event_stream import ReadPosition, follow, read_position


@dataclass(frozen=True, slots=True)
class PublishedStream:
    """A stream to which every authorized client may subscribe.

    name: in `/v1/streams` and `subscribe`. title, note: shown by the page. audio: its last seconds, where
    they are buffered. peaks: its waveform, where there is one.
    """

    name: str
    title: str
    note: str | None = None
    event_log: EventLog = field(default_factory=EventLog.with_random_id)
    audio: AudioRingBuffer | None = None
    peaks: PeakHistory | None = None


async def serve_subscriber(
    socket: ServerConnection,
    stream: PublishedStream,
    first: messages.Subscribe,
    capacity: int,
    ready: Callable[[ReadPosition], messages.Ready],
) -> None:
    """Send `ready`, the kept events that the subscriber does not have, and new ones up to and with `closed`;
    the waveform too, if it is wanted.

    capacity: how many new events may wait unread. Raises BadStartError, SlowConsumerError and
    ConnectionClosed.
    """
    event_log, resume = stream.event_log, first.resume
    same_stream = resume is not None and resume.session == event_log.session
    position = read_position(event_log, resume, resumed=same_stream)
    waveform = _waveform(socket, stream, first, another_session=resume is not None and not same_stream)
    with event_log.reader(position.last_seq, policy="drop_slow", capacity=capacity) as reader:
        await send_message(socket, messages.encode(ready(position)))
        if waveform is None:
            await follow(socket, reader, lambda: _reject_messages(socket))
            return
        async with task_group() as group:
            drawing = group.create_task(waveform.run(), name="waveform")
            await follow(socket, reader, lambda: _reject_messages(socket))
            drawing.cancel()
        await waveform.send()


def _waveform(
    socket: ServerConnection, stream: PublishedStream, first: messages.Subscribe, *, another_session: bool
) -> _WaveformSender | None:
    """None where it is not wanted, or there is none. Raises BadStartError."""
    from_ms = first.waveform_from_ms
    if from_ms is not None and from_ms < 0:
        raise BadStartError(f"expected waveform_from_ms of 0 or more, got {from_ms}; send the position")
    if from_ms is None or stream.peaks is None:
        return None
    return _WaveformSender(socket, stream.peaks, 0 if another_session else from_ms)


class _WaveformSender:
    """Sends the waveform from a position on. A client that reads slowly gets longer pieces, and no queue."""

    def __init__(self, socket: ServerConnection, peaks: PeakHistory, from_ms: int) -> None:
        self._socket = socket
        self._peaks = peaks
        self._sent_ms = from_ms

    async def run(self) -> None:
        """Until nothing follows."""
        while True:
            await self.send()
            if self._peaks.ended:
                return
            await self._peaks.wait(self._sent_ms)

    async def send(self) -> None:
        """What there is now."""
        for piece in self._peaks.after(self._sent_ms):
            message = messages.Waveform(from_ms=piece.from_ms, step_ms=piece.step_ms, peaks=piece.values)
            await send_message(self._socket, messages.encode(message))
            self._sent_ms = piece.end_ms


async def _reject_messages(socket: ServerConnection) -> None:
    """A subscriber sends nothing; receiving all the same is how a lost connection is noticed."""
    while True:
        await socket.recv()
        error = ProtocolError(
            "expected nothing from a subscriber, got a message; start a session to send audio"
        )
        await socket.send(messages.encode(messages.Error(code=error.code, message=str(error), fatal=False)))
