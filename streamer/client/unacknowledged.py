"""What a client has sent since the last `ack`, to be sent again where a connection breaks. Sans-I/O."""

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
    ms: int
    total_ms: int


@dataclass(frozen=True, slots=True)
class _Mark:
    at: int
    message: messages.Flush | messages.Stop


class UnacknowledgedLog:
    """All positions are of the present session."""

    def __init__(self, start: messages.Start) -> None:
        self.frame_bytes = start.channels * messages.SAMPLE_BYTES[start.encoding]
        self._rate_hz = start.sample_rate
        self._entries: deque[_Audio | _Gap | _Mark] = deque()
        self._sent = 0  # bytes
        self._acknowledged = 0  # bytes
        self._gap_ms = 0
        self._acknowledged_gap_ms = 0

    @property
    def sent_samples(self) -> int:
        return self._sent // self.frame_bytes

    @property
    def unacked_samples(self) -> int:
        """Sent and not acknowledged."""
        return (self._sent - self._acknowledged) // self.frame_bytes

    @property
    def acknowledged_ms(self) -> int:
        """On the session's clock."""
        return self._acknowledged // self.frame_bytes * 1_000 // self._rate_hz + self._acknowledged_gap_ms

    def audio(self, data: bytes) -> None:
        self._entries.append(_Audio(self._sent, data))
        self._sent += len(data)

    def gap(self, ms: int) -> None:
        self._gap_ms += ms
        self._entries.append(_Gap(self._sent, ms, self._gap_ms))

    def flush(self) -> str:
        """After what was sent. Return the message to send."""
        return self._mark(messages.Flush(at_samples=self.sent_samples))

    def stop(self) -> str:
        """After what was sent. Return the message to send."""
        return self._mark(messages.Stop(at_samples=self.sent_samples))

    def _mark(self, message: messages.Flush | messages.Stop) -> str:
        self._entries.append(_Mark(self._sent, message))
        return messages.encode(message)

    def acknowledge(self, samples: int) -> None:
        """Audio up to here need not be sent again; nor what was sent before its last byte."""
        acknowledged = self._acknowledged = max(self._acknowledged, samples * self.frame_bytes)
        while self._entries:
            match self._entries[0]:
                case _Audio() as audio if audio.end > acknowledged:
                    if audio.begin < acknowledged:
                        rest = audio.data[acknowledged - audio.begin :]
                        self._entries[0] = _Audio(acknowledged, rest)
                    return
                case _Gap(at=at) | _Mark(at=at) if at >= acknowledged:
                    return
                case _Gap(total_ms=total_ms):
                    self._acknowledged_gap_ms = total_ms
            self._entries.popleft()

    def unreceived(self, samples: int, gap_ms: int) -> Iterator[str | bytes]:
        """What a server that has received so much of this session has not received, in order."""
        received = samples * self.frame_bytes
        for entry in tuple(self._entries):
            match entry:
                case _Audio() if entry.end > received:
                    yield entry.data[max(0, received - entry.begin) :]
                case _Gap() if entry.total_ms > gap_ms:
                    yield messages.encode(messages.Gap(ms=entry.ms))
                case _Mark():
                    yield messages.encode(entry.message)

    def rebase(self) -> None:
        """Continue in a fresh session, whose clock begins with the first sample that was not acknowledged."""
        shift, gap_ms = self._acknowledged, 0
        moved: deque[_Audio | _Gap | _Mark] = deque()
        for entry in self._entries:
            match entry:
                case _Audio():
                    moved.append(replace(entry, begin=entry.begin - shift))
                case _Gap():
                    gap_ms += entry.ms
                    moved.append(_Gap(entry.at - shift, entry.ms, gap_ms))
                case _Mark(message=message):
                    at = message.at_samples - shift // self.frame_bytes
                    moved.append(_Mark(entry.at - shift, type(message)(at_samples=max(0, at))))
        self._entries = moved
        self._sent -= shift
        self._acknowledged = self._acknowledged_gap_ms = 0
        self._gap_ms = gap_ms
