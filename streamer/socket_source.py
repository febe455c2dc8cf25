"""A websocket client's audio as a source: positions, credit and acknowledgements.

The socket is always read; what holds a fast client back is credit. The reader calls `feed` and
`mark`, the session iterates `items`; an item counts as received once the session asks for the next.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from . import events
from .audio import PcmDecoder, Samples
from .errors import BadStartError, EmostreamError, ProtocolError, TooFarAheadError
from .sources import Flush, Item, Lost, Mishap, Pcm

_ACK_EVERY_MS = 200
_LONGEST_GAP_MS = 24 * 3_600_000
_PENDING = 64  # things to tell that are not audio: more than that in one credit is a flood


@dataclass(frozen=True, slots=True)
class _Stop:
    pass


class SocketSource:
    """acknowledge: called with the samples received so far, every 200 ms of audio and at the end."""

    def __init__(
        self, start: events.Start, ahead_ms: int, acknowledge: Callable[[int], Awaitable[None]]
    ) -> None:
        self.sample_rate_hz = start.sample_rate
        self.channels = start.channels
        self._decoder = PcmDecoder(start.encoding, start.channels)
        self._ahead = ahead_ms * start.sample_rate // 1_000
        self._ack_every = _ACK_EVERY_MS * start.sample_rate // 1_000
        self._acknowledge = acknowledge

        # What the session has not asked for yet: audio is bounded by the credit, the rest by _PENDING.
        self._queue: deque[Item | _Stop] = deque()
        self._arrived = asyncio.Event()
        self._stopped = False
        self._failure: EmostreamError | None = None

        # Positions in sample frames at the client's rate.
        self._fed = 0
        self._consumed = 0
        self._acked = 0
        self._flush_at: int | None = None
        self._stop_at: int | None = None
        self._last_flush = -1

    def stop(self) -> None:
        """The house closes: what has arrived is still analysed."""
        self._put(_Stop())

    def fail(self, error: EmostreamError) -> None:
        """End with this error, behind what has arrived."""
        self._failure = error
        self._put(_Stop())

    def feed(self, data: bytes) -> None:
        """A binary message. Raises TooFarAheadError."""
        if self._stopped:
            return
        if self._fed - self._acked > self._ahead:
            ahead_ms = (self._fed - self._acked) * 1_000 // self.sample_rate_hz
            limit_ms = self._ahead * 1_000 // self.sample_rate_hz
            raise TooFarAheadError(
                f"expected at most {limit_ms} ms of audio ahead of the last ack, got {ahead_ms} ms and more; "
                "wait for acks before sending on"
            )
        block = self._decoder.push(data)
        if len(block):
            self._accept(block)

    def mark(self, message: events.Gap | events.Flush | events.Stop) -> None:
        """A text message. Raises ProtocolError; the session goes on."""
        if self._stopped:
            return  # whatever is sent behind `stop`, or again, changes nothing
        match message:
            case events.Gap(ms=ms):
                if not 0 < ms <= _LONGEST_GAP_MS:
                    raise ProtocolError(
                        f"expected gap.ms of 1 to {_LONGEST_GAP_MS}, got {ms}; send several gaps"
                    )
                self._put(Lost(ms, "the client dropped it"))
            case events.Flush(at_samples=at):
                self._check_position("flush", at)
                if at > self._fed:
                    self._flush_at = at
                elif at > self._last_flush:
                    self._flush(at)
            case events.Stop(at_samples=at):
                self._check_position("stop", at)
                if at > self._fed:
                    self._stop_at = at
                else:
                    self.stop()

    def tell(self, code: str, message: str) -> None:
        """Have the session report something, in its place among the events."""
        self._put(Mishap(code, message))

    async def items(self) -> AsyncIterator[Item]:
        while True:
            while not self._queue:
                self._arrived.clear()
                await self._arrived.wait()
            item = self._queue.popleft()
            if isinstance(item, _Stop):
                break
            yield item
            if isinstance(item, Pcm):
                self._consumed += len(item.block)
            if self._consumed - self._acked >= self._ack_every or isinstance(item, Flush):
                await self._ack()
        await self._ack()
        if self._failure is not None:
            raise self._failure

    async def _ack(self) -> None:
        if self._acked != self._consumed:
            self._acked = self._consumed
            await self._acknowledge(self._acked)

    def _accept(self, block: Samples) -> None:
        """Queue the audio, cut where a flush or the stop has been announced."""
        for at in sorted(mark for mark in (self._flush_at, self._stop_at) if mark is not None):
            if at > self._fed + len(block):
                break
            cut = at - self._fed
            self._queue_audio(block[:cut])
            block = block[cut:]
            if at == self._flush_at:
                self._flush_at = None
                self._flush(at)
            if at == self._stop_at:
                self.stop()
                return
        self._queue_audio(block)

    def _queue_audio(self, block: Samples) -> None:
        if len(block):
            self._fed += len(block)
            self._queue.append(Pcm(block))
            self._arrived.set()

    def _flush(self, at: int) -> None:
        self._last_flush = at
        self._put(Flush())

    def _put(self, item: Item | _Stop) -> None:
        if self._stopped:
            return
        if isinstance(item, _Stop):
            self._stopped = True
        elif sum(not isinstance(queued, Pcm) for queued in self._queue) >= _PENDING:
            raise TooFarAheadError(
                f"expected at most {_PENDING} messages beside audio ahead of the session, got more; slow down"
            )
        self._queue.append(item)
        self._arrived.set()

    def _check_position(self, kind: str, at: int) -> None:
        if at < 0:
            raise ProtocolError(f"expected {kind}.at_samples of 0 or more, got {at}; correct the client")


def check_start(start: events.Start) -> None:
    """Raises BadStartError for what the types cannot say."""
    if not 8_000 <= start.sample_rate <= 96_000:
        raise BadStartError(
            f"expected start.sample_rate of 8000 to 96000, got {start.sample_rate}; resample first"
        )
    if not 1 <= start.channels <= 8:
        raise BadStartError(f"expected start.channels of 1 to 8, got {start.channels}; mix down first")
    if start.language is not None and not 2 <= len(start.language) <= 35:
        raise BadStartError("expected start.language to be a BCP 47 tag such as en, got another length")
