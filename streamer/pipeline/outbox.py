"""What a session says to its client: the last events, kept for a client that comes back, and the acks.

One sink, read by one socket after the other. While somebody reads, a reader that is slow holds the session
back; while nobody does, the session goes on with what it has heard, and the oldest events give way.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from typing import Final

from ..protocol.messages import Ack, Closed, ServerEvent

_UNREAD: Final = 64


class Outbox:
    """keep: how many of the last events can be given again, at least 65."""

    def __init__(self, keep: int) -> None:
        self._kept: deque[ServerEvent] = deque(maxlen=max(keep, _UNREAD + 1))
        self._seq = 0  # of the last event said
        self._read = 0  # of the last event that was handed to a socket
        self._acked = 0
        self._readers = 0
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._broken = False

    @property
    def last_seq(self) -> int:
        return self._seq

    @property
    def last_event(self) -> ServerEvent | None:
        return self._kept[-1] if self._kept else None

    async def send(self, event: ServerEvent) -> None:
        """As a sink. Waits while somebody reads who is far behind."""
        self._kept.append(event)
        self._seq = event.seq
        self._news.set()
        while self._readers and self._seq - self._read >= _UNREAD:
            self._room.clear()
            await self._room.wait()

    def acknowledge(self, samples: int) -> None:
        """Audio up to here is taken. Said as soon as the socket has room, the last one only."""
        self._acked = samples
        self._news.set()

    def close(self) -> None:
        """No event comes any more, not even `closed`."""
        self._broken = True
        self._news.set()

    def lost_from(self, last_seq: int) -> int | None:
        """The first event behind `last_seq` that can no longer be given; None where all can."""
        oldest = self._kept[0].seq if self._kept else self._seq + 1
        return last_seq + 1 if last_seq + 1 < oldest else None

    async def read(self, last_seq: int) -> AsyncGenerator[ServerEvent | Ack, None]:
        """What comes behind `last_seq`, each once and in order, and acks between them; up to and with
        `closed`.

        One reader at a time.
        """
        self._read = last_seq
        acked = 0  # what was said to the socket before this one may be lost
        self._readers += 1
        try:
            while True:
                self._news.clear()
                if acked != self._acked:
                    acked = self._acked
                    yield Ack(received_samples=acked)
                for event in [event for event in self._kept if event.seq > self._read]:
                    self._read = event.seq
                    self._room.set()
                    yield event
                    if isinstance(event, Closed):
                        return
                if self._broken:
                    return
                await self._news.wait()
        finally:
            self._readers -= 1
            self._room.set()
