"""One stream's events: numbered, kept for those who come later, fanned out to watchers.

A watcher never slows the stream: its queue is bounded, and whoever does not read in time is cut off
with a SlowConsumerError and may watch again.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager

from ..errors import SlowConsumerError
from ..protocol.messages import Closed, E, ServerEvent, numbered


class Hub:
    """keep: how many of the last events a newcomer gets first. clock_ms: how far the stream has got."""

    def __init__(self, session: str, *, keep: int = 200) -> None:
        self.session = session
        self._kept: deque[ServerEvent] = deque(maxlen=keep)
        self._watchers: set[Subscription] = set()
        self._seq = 0
        self.clock_ms = 0

    @classmethod
    def with_new_id(cls) -> Hub:
        """For a session that nobody named before."""
        return cls(new_session_id())

    def publish(self, event: E) -> E:
        """Number the event and give it to everybody. Never waits."""
        self._seq += 1
        event = numbered(event, self._seq)
        self._kept.append(event)
        for watcher in self._watchers:
            watcher.offer(event)
        return event

    def lost_from(self, last_seq: int) -> int | None:
        """The first event behind `last_seq` that can no longer be given; None where all can."""
        oldest = self._kept[0].seq if self._kept else self._seq + 1
        return last_seq + 1 if last_seq + 1 < oldest else None

    def end(self, event: Closed) -> None:
        """The last word, unless it has been said."""
        if not self._kept or not isinstance(self._kept[-1], Closed):
            self.publish(event)

    @contextmanager
    def subscribe(self, capacity: int, last_seq: int = 0) -> Iterator[Subscription]:
        """What is kept of what comes behind `last_seq`, then what comes. capacity: how many new events may
        wait unread.
        """
        watcher = Subscription([event for event in self._kept if event.seq > last_seq], capacity)
        self._watchers.add(watcher)
        try:
            yield watcher
        finally:
            self._watchers.discard(watcher)


class Subscription:
    """Iterate to read; ends behind `closed`. Raises SlowConsumerError when it fell behind."""

    def __init__(self, kept: Sequence[ServerEvent], capacity: int) -> None:
        self._waiting: deque[ServerEvent] = deque(kept)
        self._capacity = len(kept) + capacity
        self._arrived = asyncio.Event()
        self._overflowed = False

    def offer(self, event: ServerEvent) -> None:
        # Once something is lost the rest is of no use: a reader must not see a hole.
        if self._overflowed or len(self._waiting) >= self._capacity:
            self._overflowed = True
        else:
            self._waiting.append(event)
        self._arrived.set()

    async def __aiter__(self) -> AsyncIterator[ServerEvent]:
        while True:
            while self._waiting:
                event = self._waiting.popleft()
                yield event
                if isinstance(event, Closed):
                    return
            if self._overflowed:
                raise SlowConsumerError(
                    f"expected a watcher that reads its events, got {self._capacity} unread; "
                    "read faster and watch again"
                )
            self._arrived.clear()
            await self._arrived.wait()


def new_session_id() -> str:
    """For a session that nobody named before."""
    return secrets.token_urlsafe(12)
