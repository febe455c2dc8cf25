"""The registry of a server's client sessions: begun, found for a resume, ended at their limits."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from typing import Final

from ..clock import Clock
from ..config import ServerSettings
from ..errors import OverloadedError
from ..inference.metrics import Metrics
from ..pipeline.event_log import EventLog, new_session_id
from ..pipeline.session import Session
from ..protocol import messages
from .client_session import ClientSession
from .websocket_source import WebSocketSource

log = logging.getLogger(__name__)

_WITHOUT_LIMIT: Final = float("inf")

CreateSession = Callable[[messages.Start, EventLog], tuple[Session, WebSocketSource]]


class SessionRegistry:
    """create: a session that appends its events to this log. Raises what `begin` raises."""

    def __init__(
        self, create: CreateSession, settings: ServerSettings, clock: Clock, metrics: Metrics
    ) -> None:
        self._create = create
        self._settings = settings
        self._clock = clock
        self._metrics = metrics
        self._sessions: dict[str, ClientSession] = {}
        self._abandoned: set[ClientSession] = set()  # no longer resumable, while they end
        self._closing = False

    def __iter__(self) -> Iterator[ClientSession]:
        """The sessions that may be resumed."""
        return iter(tuple(self._sessions.values()))

    @property
    def running_count(self) -> int:
        """Sessions that still receive or analyse."""
        return sum(session.running for session in (*self._sessions.values(), *self._abandoned))

    @property
    def attached_channel_count(self) -> int:
        """Channels that are analysed of running sessions with a client."""
        sessions = (session for session in self._sessions.values() if session.running and session.attached)
        return sum(session.channel_count for session in sessions)

    @property
    def detached_count(self) -> int:
        """Running sessions that wait for their client."""
        return sum(session.running and not session.attached for session in self._sessions.values())

    def find(self, resume: messages.Resume | None, owner: str | None) -> ClientSession | None:
        """The session to resume; None where there is none, or where it belongs to another token."""
        if resume is None:
            return None
        found = self._sessions.get(resume.session)
        # A wrong resume token looks like a session that is gone: a guess reveals no session.
        return found if found is not None and found.belongs_to(resume.resume_token, owner) else None

    def begin(self, start: messages.Start, owner: str | None) -> ClientSession:
        """Raises BadStartError, ConfigError and OverloadedError."""
        self._evict_if_full()
        event_log = EventLog(new_session_id(), keep=self._settings.event_buffer_size)
        pipeline, source = self._create(start, event_log)
        session = ClientSession(start, owner, pipeline, source, event_log, self._clock, self._ended)
        self._sessions[session.name] = session
        self._metrics.sessions.inc()
        self._metrics.open_sessions.inc()
        if self._closing:
            session.stop()
        return session

    def abandon(self, session: ClientSession) -> None:
        """End a session that will not be resumed: its client has all, wants no more, or is too late."""
        session.stop()
        if self._sessions.pop(session.name, None) is not None and session.running:
            self._abandoned.add(session)

    def enforce_limits(self) -> None:
        """To be called every second or so."""
        limits = self._settings
        for session in self:
            resumable = session.enforce_limits(
                idle_s=limits.idle_ms / 1_000 or _WITHOUT_LIMIT,
                longest_s=limits.session_ms / 1_000 or _WITHOUT_LIMIT,
                resume_timeout_s=limits.resume_timeout_ms / 1_000,
            )
            if not resumable:
                self.abandon(session)
        self._abandoned = {session for session in self._abandoned if session.running}

    def begin_shutdown(self) -> None:
        """Sessions end as if their audio were over; new ones end at once."""
        self._closing = True
        for session in self:
            session.stop()

    async def cancel_all(self) -> None:
        """Cancel every session that has not ended by now."""
        await asyncio.gather(*(session.cancel() for session in (*self, *self._abandoned)))
        self._sessions.clear()
        self._abandoned.clear()

    def _ended(self) -> None:
        self._metrics.open_sessions.dec()

    def _evict_if_full(self) -> None:
        """There are at most as many sessions as there may be connections; where all places are taken, the
        session that has waited longest for its client gives way.
        """
        if len(self._sessions) < self._settings.connections:
            return
        detached = [session for session in self._sessions.values() if not session.attached]
        if not detached:
            raise OverloadedError(
                f"expected capacity for one more session, got {len(self._sessions)} that are all in use; "
                "try again later"
            )
        oldest = min(detached, key=lambda session: session.detached_at)
        log.warning(
            "a disconnected session was evicted for a new one", extra={"fields": {"evicted": oldest.name}}
        )
        self.abandon(oldest)
