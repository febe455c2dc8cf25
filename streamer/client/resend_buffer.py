"""What a client may have to send again where a connection breaks. Sans-I/O.

Audio is kept until the server has committed it: until everything that was said in it has its final. So a
server that is killed and started again hears the utterance in progress whole. That is at most the longest
utterance, those that wait for their analysis before it, and the credit.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace

from ..protocol import messages


@dataclass(frozen=True, slots=True)
class _Audio:
    """begin: position of its first byte in the session."""

    begin: int
    data: bytes

    @property
    def end(self) -> int:
        return self.begin + len(self.data)


@dataclass(frozen=True, slots=True)
class _Gap:
    """at: how many bytes had been sent before. total_ms: of all gaps of the session up to this one."""

    at: int
    message: messages.Gap
    total_ms: int


@dataclass(frozen=True, slots=True)
class _Mark:
    at: int
    message: messages.Flush | messages.Stop


class ResendBuffer:
    """All positions are of the present session."""

    def __init__(self, start: messages.Start) -> None:
        self.frame_bytes = start.channels * messages.SAMPLE_BYTES[start.encoding]
        self._rate_hz = start.sample_rate
        self._entries: deque[_Audio | _Gap | _Mark] = deque()
        # Bytes: sent, of those received by the session, and of those committed.
        self._sent = self._acknowledged = self._committed = 0
        # Of all gaps that were sent, and of those before what is committed.
        self._gap_ms = self._committed_gap_ms = 0
        self._server_commits = True

    @property
    def sent_samples(self) -> int:
        return self._sent // self.frame_bytes

    @property
    def unacked_samples(self) -> int:
        """Sent and not acknowledged."""
        return (self._sent - self._acknowledged) // self.frame_bytes

    @property
    def received_bytes(self) -> int:
        """Sent and acknowledged."""
        return self._acknowledged

    @property
    def committed_ms(self) -> int:
        """On the session's clock."""
        return self._committed // self.frame_bytes * 1_000 // self._rate_hz + self._committed_gap_ms

    @property
    def server_commits(self) -> bool:
        """Whether the server tells what it has committed. Otherwise what it has received is not kept."""
        return self._server_commits

    @property
    def delivered(self) -> bool:
        """Whether the stop was sent and the session has received all audio before it."""
        last = self._entries[-1] if self._entries else None
        stopped = isinstance(last, _Mark) and isinstance(last.message, messages.Stop)
        return stopped and self._acknowledged >= self.sent_samples * self.frame_bytes

    def audio(self, data: bytes) -> None:
        self._entries.append(_Audio(self._sent, data))
        self._sent += len(data)

    def gap(self, gap: messages.Gap) -> None:
        self._gap_ms += gap.ms
        self._entries.append(_Gap(self._sent, gap, self._gap_ms))

    def flush(self) -> str:
        """After what was sent. Return the message to send."""
        return self._mark(messages.Flush(at_samples=self.sent_samples))

    def stop(self) -> str:
        """After what was sent. Return the message to send."""
        return self._mark(messages.Stop(at_samples=self.sent_samples))

    def _mark(self, message: messages.Flush | messages.Stop) -> str:
        self._entries.append(_Mark(self._sent, message))
        return messages.encode(message)

    def acknowledge(self, received_samples: int, committed_samples: int | None) -> None:
        """An `ack`. committed_samples: None from a server that does not tell it."""
        self._acknowledged = max(self._acknowledged, received_samples * self.frame_bytes)
        self._server_commits = committed_samples is not None
        committed = received_samples if committed_samples is None else committed_samples
        self._commit(min(self._acknowledged, committed * self.frame_bytes))

    def commit_received(self) -> None:
        """The session is over, and has given all results of what it received."""
        self._commit(self._acknowledged)

    def _commit(self, position: int) -> None:
        """Audio up to here is not kept; nor is what was sent before its last byte."""
        committed = self._committed = max(self._committed, position)
        while self._entries:
            match self._entries[0]:
                case _Audio() as audio if audio.end > committed:
                    if audio.begin < committed:
                        self._entries[0] = _Audio(committed, audio.data[committed - audio.begin :])
                    return
                case _Gap(at=at) | _Mark(at=at) if at >= committed:
                    return
                case _Gap(total_ms=total_ms):
                    self._committed_gap_ms = total_ms
            self._entries.popleft()

    def _commit_until(self, clock_ms: int) -> None:
        """What lies before this time of the session's clock has its finals, which came before the ack."""
        while self._entries:
            match self._entries[0]:
                case _Audio(data=b""):
                    self._entries.popleft()
                case _Audio() as audio:
                    frames = -(-max(0, clock_ms - self._committed_gap_ms) * self._rate_hz // 1_000)
                    position = min(min(frames, self.sent_samples) * self.frame_bytes, audio.end)
                    if position <= self._committed:
                        return
                    self._commit(position)
                case _Gap(total_ms=total_ms) if self.committed_ms < clock_ms:
                    self._committed_gap_ms = total_ms
                    self._entries.popleft()
                case _Mark(message=messages.Flush()) if self.committed_ms < clock_ms:
                    self._entries.popleft()
                case _:
                    return

    def unreceived(self, samples: int, gap_ms: int) -> Iterator[tuple[int, str | bytes]]:
        """What a session that has received so much has not received, in order: where it begins, in bytes, and
        the message.
        """
        received = samples * self.frame_bytes
        for entry in tuple(self._entries):
            match entry:
                case _Audio() if entry.end > received:
                    begin = max(entry.begin, received)
                    yield begin, entry.data[begin - entry.begin :]
                case _Gap() if entry.total_ms > gap_ms:
                    yield entry.at, messages.encode(entry.message)
                case _Mark() if entry.at >= received:  # audio after it has not arrived, nor perhaps it
                    yield entry.at, messages.encode(entry.message)

    def rebase(self, finals_until_ms: int) -> int:
        """Continue in a fresh session, which hears again what is neither committed nor before this end of a
        final. Return where its clock begins on that of the session before, in milliseconds.
        """
        self._commit_until(finals_until_ms)
        clock_start_ms = self.committed_ms
        shift, gap_ms = self._committed, 0
        moved: deque[_Audio | _Gap | _Mark] = deque()
        for entry in self._entries:
            match entry:
                case _Audio():
                    moved.append(replace(entry, begin=entry.begin - shift))
                case _Gap():
                    gap_ms += entry.message.ms
                    moved.append(_Gap(entry.at - shift, entry.message, gap_ms))
                case _Mark(message=message):
                    at = (message.at_samples or 0) - shift // self.frame_bytes
                    moved.append(_Mark(entry.at - shift, type(message)(at_samples=max(0, at))))
        self._entries = moved
        self._sent -= shift
        self._acknowledged = self._committed = self._committed_gap_ms = 0
        self._gap_ms = gap_ms
        return clock_start_ms
