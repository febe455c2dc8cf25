"""The sessions of a server: begun, found again, seen to their end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from typing import Final

from websockets.asyncio.server import ServerConnection

from ..clock import Clock
from ..config import ServerSettings
from ..errors import OverloadedError
from ..inference.metrics import Metrics
from ..pipeline.event_log import EventLog, new_session_id
from ..pipeline.session import Session
from ..protocol import messages
from ..protocol.close_codes import CloseCode
from .client_session import ClientSession
from .event_stream import ReadPosition
from .websocket_source import WebSocketSource

log = logging.getLogger(__name__)

_WITHOUT_LIMIT: Final = float("inf")

MakeSession = Callable[[messages.Start, EventLog], tuple[Session, WebSocketSource]]


class SessionRegistry:
    """make: a session that appends its events to this log. Raises what `begin` raises."""

    def __init__(self, make: MakeSession, settings: ServerSettings, clock: Clock, metrics: Metrics) -> None:
        self._make = make
        self._settings = settings
        self._clock = clock
        self._metrics = metrics
        self._inside: dict[str, ClientSession] = {}
        self._leaving: set[ClientSession] = set()  # to whom nobody comes back, while they end
        self._closing = False

    def __iter__(self) -> Iterator[ClientSession]:
        return iter(tuple(self._inside.values()))

    @property
    def running(self) -> int:
        """Sessions that still hear or judge."""
        return sum(one.running for one in (*self._inside.values(), *self._leaving))

    @property
    def heard(self) -> int:
        """Sessions to which a client speaks at present."""
        return sum(one.running and one.attached for one in self._inside.values())

    def find(self, resume: messages.Resume | None, owner: str | None) -> ClientSession | None:
        """The session to take over; None where there is none such, or where it is another's."""
        if resume is None:
            return None
        found = self._inside.get(resume.session)
        # A wrong secret looks like a session that is gone: nobody learns which sessions there are.
        return found if found is not None and found.belongs_to(resume.resume_token, owner) else None

    def begin(self, start: messages.Start, owner: str | None) -> ClientSession:
        """Raises BadStartError, ConfigError and OverloadedError."""
        self._make_room()
        event_log = EventLog(new_session_id(), keep=self._settings.event_buffer_size)
        session, source = self._make(start, event_log)
        one = ClientSession(start, owner, session, source, event_log, self._clock, self._ended)
        self._inside[one.name] = one
        self._metrics.sessions.inc()
        self._metrics.open_sessions.inc()
        if self._closing:
            one.stop()
        return one

    async def serve(
        self,
        one: ClientSession,
        socket: ServerConnection,
        start: messages.Start,
        ready: Callable[[ReadPosition], messages.Ready],
    ) -> int:
        """Send events until the last one is out; return the close code. Raises as `ClientSession.serve`."""
        error = await one.serve(socket, start, ready)
        return CloseCode.NORMAL if error is None else error.close_code

    def leave(self, one: ClientSession) -> None:
        """Nobody will come back: its client has all, or wants no more, or came too late."""
        one.stop()
        if self._inside.pop(one.name, None) is not None and one.running:
            self._leaving.add(one)

    def enforce_limits(self) -> None:
        """To be called every second or so."""
        limits = self._settings
        for one in self:
            stays = one.enforce_limits(
                idle_s=limits.idle_ms / 1_000 or _WITHOUT_LIMIT,
                longest_s=limits.session_ms / 1_000 or _WITHOUT_LIMIT,
                call_timeout_s=limits.resume_timeout_ms / 1_000,
            )
            if not stays:
                self.leave(one)
        self._leaving = {one for one in self._leaving if one.running}

    def begin_shutdown(self) -> None:
        """The house closes: sessions end as if their sound were over. Newcomers' end at once."""
        self._closing = True
        for one in self:
            one.stop()

    async def dismiss(self) -> None:
        """Whatever is not over by now."""
        await asyncio.gather(*(one.dismiss() for one in (*self, *self._leaving)))
        self._inside.clear()
        self._leaving.clear()

    def _ended(self) -> None:
        self._metrics.open_sessions.dec()

    def _make_room(self) -> None:
        """Sessions whose client left are as many as connections may be; who left first goes first."""
        if len(self._inside) < self._settings.connections:
            return
        left = [one for one in self._inside.values() if not one.attached]
        if not left:
            raise OverloadedError(
                f"expected room for one more session, got {len(self._inside)} that are all in use; "
                "try again later"
            )
        first = min(left, key=lambda one: one.detached_at)
        log.warning(
            "a session whose client left made room for another", extra={"facts": {"left": first.name}}
        )
        self.leave(first)
