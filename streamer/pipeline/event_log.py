"""The events of one stream: numbered, the last ones kept, read by every client from a position of its own.

The session appends. A reader follows under one of two policies: `block`, for the client that owns the stream,
whose slow reading holds the session back; or `drop_slow`, for subscribers, whose queue is bounded and who are
cut off when it is full. Without a reader the session runs on, and the oldest events give way.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Final, Literal

from ..errors import SlowConsumerError
from ..protocol.messages import Closed, E, ServerEvent, decode_event, encode, with_seq

MAX_UNREAD: Final = 64
"""Events that a `block` reader may leave unread before `drain` waits for it."""

ReadPolicy = Literal["block", "drop_slow"]


class EventLog:
    """session: the stream's id on the wire. keep: how many of the last events can be read again."""

    def __init__(self, session: str, *, keep: int = 200) -> None:
        self.session = session
        self.clock_ms = 0  # how far the stream has come, set by its session
        self._kept: deque[str] = deque(maxlen=keep)  # encoded: a sixth of the memory, and rarely read
        self._last_event: ServerEvent | None = None
        self._last_seq = 0
        # (seq, samples): a client that has the events up to `seq` need not keep the audio up to `samples`. At
        # most one an event, and both rise.
        self._commits: deque[tuple[int, int]] = deque(maxlen=keep)
        self._readers: set[EventReader] = set()
        self._closed = False
        self._space = asyncio.Event()

    @classmethod
    def with_random_id(cls) -> EventLog:
        """For a stream that has no session id yet."""
        return cls(new_session_id())

    @property
    def last_seq(self) -> int:
        """The number of the last event, 0 before the first."""
        return self._last_seq

    @property
    def last_event(self) -> ServerEvent | None:
        return self._last_event

    def append(self, event: E) -> E:
        """Number the event and hand it to every reader. Never waits: `drain` does."""
        self._last_seq += 1
        event = with_seq(event, self._last_seq)
        self._kept.append(encode(event))
        self._last_event = event
        for reader in self._readers:
            reader._offer(event)
        return event

    def commit(self, samples: int) -> None:
        """The events so far hold all results of the audio up to this sample frame of the source."""
        if self._commits and self._commits[-1][0] == self._last_seq:
            self._commits.pop()
        self._commits.append((self._last_seq, samples))

    def committed_samples(self, last_seq: int) -> int:
        """Audio up to here need not be kept by a client that has the events up to `last_seq`."""
        return next((samples for seq, samples in reversed(self._commits) if seq <= last_seq), 0)

    async def drain(self) -> None:
        """Wait while a `block` reader has MAX_UNREAD events or more before it."""
        while any(reader.policy == "block" and reader.unread >= MAX_UNREAD for reader in self._readers):
            self._space.clear()
            await self._space.wait()

    def end(self, event: Closed) -> None:
        """Append the last event, unless the stream has one."""
        if not isinstance(self.last_event, Closed):
            self.append(event)

    def close(self) -> None:
        """No event follows, not even `closed`: readers end after what they have."""
        self._closed = True
        self.wake_readers()

    @property
    def complete(self) -> bool:
        """Whether no event follows."""
        return self._closed or isinstance(self.last_event, Closed)

    def wake_readers(self) -> None:
        """Let `EventReader.wait` return though there is no new event."""
        for reader in self._readers:
            reader._wake()

    def lost_from(self, last_seq: int) -> int | None:
        """The first event after `last_seq` that is kept no more; None where all are."""
        oldest = self._last_seq - len(self._kept) + 1
        return last_seq + 1 if last_seq + 1 < oldest else None

    @contextmanager
    def reader(
        self, last_seq: int = 0, *, policy: ReadPolicy, capacity: int | None = None
    ) -> Iterator[EventReader]:
        """The kept events after `last_seq`, then every new one.

        capacity: how many new events may wait unread for a `drop_slow` reader.
        """
        missed = min(len(self._kept), max(0, self._last_seq - last_seq))
        backlog = [decode_event(text) for text in islice(self._kept, len(self._kept) - missed, None)]
        reader = EventReader(self, last_seq, backlog, policy, capacity)
        self._readers.add(reader)
        try:
            yield reader
        finally:
            self._readers.discard(reader)
            self._space.set()

    def _event_was_read(self) -> None:
        self._space.set()


class EventReader:
    """One position in an `EventLog`. Iterate, or call `pop` and `wait` where other things are sent between.

    Iteration ends after `closed`, or where the log was closed without it. Raises SlowConsumerError after the
    last event before a hole.
    """

    def __init__(
        self,
        log: EventLog,
        last_seq: int,
        backlog: list[ServerEvent],
        policy: ReadPolicy,
        capacity: int | None,
    ) -> None:
        self.policy = policy
        self.last_seq = last_seq  # of the last event that was read
        self._log = log
        self._unread: deque[ServerEvent] = deque(backlog)
        # `drop_slow`: bounded here. `block`: bounded by the session, which waits in `drain`.
        self._capacity = None if capacity is None else len(backlog) + capacity
        self._news = asyncio.Event()
        self._overflowed = False

    @property
    def unread(self) -> int:
        return len(self._unread)

    @property
    def ended(self) -> bool:
        """Whether there is nothing left to read, now or later."""
        return self._log.complete and not self._unread and not self._overflowed

    def pop(self) -> ServerEvent | None:
        """The next event, None where there is none yet. Raises SlowConsumerError."""
        if self._unread:
            event = self._unread.popleft()
            self.last_seq = event.seq
            self._log._event_was_read()
            return event
        if self._overflowed:
            raise SlowConsumerError(
                f"expected a subscriber that reads its events, got {self._capacity} unread; "
                "read faster and subscribe again"
            )
        return None

    async def wait(self) -> None:
        """Return when `pop` has something, `ended` holds, or `wake_readers` was called."""
        if not (self._unread or self._overflowed or self.ended):
            await self._news.wait()
        self._news.clear()

    async def __aiter__(self) -> AsyncIterator[ServerEvent]:
        while not self.ended:
            event = self.pop()
            if event is None:
                await self.wait()
            else:
                yield event

    def _offer(self, event: ServerEvent) -> None:
        # Once an event is lost the rest is of no use: a reader must not see a hole.
        if self._overflowed or (self._capacity is not None and len(self._unread) >= self._capacity):
            self._overflowed = True
        else:
            self._unread.append(event)
        self._wake()

    def _wake(self) -> None:
        self._news.set()


def new_session_id() -> str:
    """16 characters, random enough that they cannot be guessed."""
    return secrets.token_urlsafe(12)
