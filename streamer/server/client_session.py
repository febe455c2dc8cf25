"""A client's session, which outlives its socket: the next socket with the resume token continues it.

The session runs in a task of its own. A socket that attaches feeds its source and follows its event log; when
the socket breaks, the session goes on with what it has received and waits, for a while, for another.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import secrets
from collections.abc import Callable
from typing import Final

import msgspec
from websockets.asyncio.server import ServerConnection

from ..clock import Clock
from ..errors import (
    BadStartError,
    EmostreamError,
    IdleTimeoutError,
    SessionSupersededError,
    SessionTooLongError,
)
from ..pipeline.event_log import EventLog, EventReader
from ..pipeline.session import Session
from ..protocol import messages
from ..protocol.error_codes import ErrorCode
from ..protocol.transport import send_message
from .event_stream import ReadPosition, follow, read_position
from .log import session_id
from .session_factory import receive_messages
from .websocket_source import WebSocketSource

log = logging.getLogger(__name__)

_RESUME_TOKEN_BYTES: Final = 24
_LATE_S: Final = 0.5  # after the last message: audio that waits for more of it waits no longer
_SILENT_S: Final = 5.0  # after the last message: a client that has stopped to send is told
_STOP_WAITS_S: Final = 10.0  # after the last message, for the audio before an announced stop


class ClientSession:
    """owner: the name of the token that opened the session. ended: called once, when the session is over."""

    def __init__(
        self,
        start: messages.Start,
        owner: str | None,
        session: Session,
        source: WebSocketSource,
        event_log: EventLog,
        clock: Clock,
        ended: Callable[[], None],
    ) -> None:
        self.name = event_log.session
        self.resume_token = secrets.token_urlsafe(_RESUME_TOKEN_BYTES)
        self.ready_sent = False  # whether a client has the name and the resume token
        self._start = _without_credentials(start)
        self._owner = owner
        self._session = session
        self._source = source
        self._event_log = event_log
        self._clock = clock
        self._ended = ended
        self._began_at = self._received_at = self._detached_at = clock.now()
        self._awaiting_since: float | None = self._began_at
        self._silence_reported = False
        self._serving: asyncio.Task[None] | None = None
        self._running = asyncio.create_task(self._run(), name="session")
        self._running.add_done_callback(_retrieve_exception)

    @property
    def running(self) -> bool:
        return not self._running.done()

    @property
    def attached(self) -> bool:
        """Whether a socket serves the session."""
        return self._serving is not None

    @property
    def channel_count(self) -> int:
        """Of channels that are analysed, each on its own."""
        return self._session.channel_count

    @property
    def detached_at(self) -> float:
        """When the last socket disconnected."""
        return self._detached_at

    @property
    def totals(self) -> messages.Totals | None:
        """Of a session that is over."""
        last = self._event_log.last_event
        return last.totals if isinstance(last, messages.Closed) else None

    @property
    def received_samples(self) -> int:
        return self._source.received_samples

    @property
    def received_gap_ms(self) -> int:
        return self._source.received_gap_ms

    def belongs_to(self, resume_token: str, owner: str | None) -> bool:
        """In constant time."""
        return hmac.compare_digest(
            resume_token.encode("utf-8", "surrogatepass"), self.resume_token.encode()
        ) and (owner == self._owner)

    def position(self, start: messages.Start) -> ReadPosition:
        """Where the client of this `start` continues. Raises BadStartError where the fields are not those of
        the session's first `start`.
        """
        resumed = start.resume is not None and start.resume.session == self.name
        if resumed and _without_credentials(start) != self._start:
            raise BadStartError("expected the fields of the session's first start, got others; send the same")
        return read_position(self._event_log, start.resume, resumed=resumed)

    async def serve(
        self,
        socket: ServerConnection,
        start: messages.Start,
        ready: Callable[[ReadPosition], messages.Ready],
    ) -> EmostreamError | None:
        """Send events until the last one is out; return the error that the session ended with, if any.

        ready: called once no older socket feeds the session any more. Raises ConnectionClosed,
        SessionSupersededError, and what the session did not expect.
        """
        await self._detach_older_socket()
        self._source.discard_partial_frame()
        self._received_at = self._clock.now()
        position = self.position(start)
        with self._event_log.reader(position.last_seq, policy="block") as reader:
            await self._serve_in_task(socket, reader, ready(position))
        await asyncio.wait({self._running})
        error = None if self._running.cancelled() else self._running.exception()
        if error is None or isinstance(error, EmostreamError):
            return error
        raise error

    async def _serve_in_task(
        self, socket: ServerConnection, reader: EventReader, ready: messages.Ready
    ) -> None:
        """In a task that a newer socket can cancel."""
        serving = self._serving = asyncio.create_task(self._exchange(socket, reader, ready), name="serve")
        try:
            await asyncio.wait({serving})
        finally:
            serving.cancel()
            if self._serving is serving:
                self._serving, self._detached_at = None, self._clock.now()
        if serving.cancelled():
            raise SessionSupersededError("expected one socket a session, got another one; this one is closed")
        await serving

    async def _detach_older_socket(self) -> None:
        while (older := self._serving) is not None:
            older.cancel()
            await asyncio.wait({older})
            if self._serving is older:
                self._serving = None

    async def _exchange(self, socket: ServerConnection, reader: EventReader, ready: messages.Ready) -> None:
        await send_message(socket, messages.encode(ready))
        self.ready_sent = True
        await follow(
            socket,
            reader,
            lambda: receive_messages(socket, self._source, self._note_message),
            self._acknowledgement,
        )

    def _acknowledgement(self, last_seq: int) -> messages.Ack:
        """For a client that has the events up to this one."""
        received = self._source.acknowledged_samples
        committed = self._event_log.committed_samples(last_seq)
        return messages.Ack(
            received_samples=received,
            committed_samples=min(received, committed),
            waiting_samples=self._source.waiting_samples,
        )

    def _note_message(self) -> None:
        self._received_at = self._clock.now()
        self._silence_reported = False

    async def _run(self) -> None:
        session_id.set(self.name)
        try:
            await self._session.run()
        except EmostreamError:
            raise  # an error event reports it
        except Exception:
            log.exception("the session failed")
            raise
        finally:
            self._event_log.close()
            self._ended()

    def warn(self, message: str) -> None:
        """Send an `error` that does not end the session."""
        self._source.warn(ErrorCode.BAD_MESSAGE, message)

    def stop(self) -> None:
        """End soon: all finals, `closed`."""
        self._session.stop()

    def enforce_limits(self, *, idle_s: float, longest_s: float, resume_timeout_s: float) -> bool:
        """To be called every second or so. False where no client has resumed the session in time."""
        now = self._clock.now()
        if not self.attached and now - self._detached_at > resume_timeout_s:
            return False
        if now - self._received_at > _LATE_S:
            self._source.release()
        self._watch_for_silence(now)
        if self.attached and self._source.stop_waits and now - self._received_at > _STOP_WAITS_S:
            self._source.stop_without_the_rest()
        if self.attached and now - self._received_at > idle_s:
            self._source.fail(
                IdleTimeoutError(
                    f"expected audio within {idle_s:g} s, got none; send silence, or stop and connect again"
                )
            )
        elif now - self._began_at > longest_s:
            self._source.fail(
                SessionTooLongError(
                    f"expected a session of at most {longest_s:g} s, got a longer one; begin another"
                )
            )
        return True

    def _watch_for_silence(self, now: float) -> None:
        """Report it once, until the next message. While the session is behind, a client may have to wait."""
        if not (self.attached and self._source.awaits_audio):
            self._awaiting_since = None
            return
        if self._awaiting_since is None:
            self._awaiting_since = now
        silent_s = now - max(self._awaiting_since, self._received_at)
        if silent_s > _SILENT_S and not self._silence_reported:
            self._silence_reported = True
            self._source.warn(
                ErrorCode.NO_AUDIO,
                f"expected audio, got none for {_SILENT_S:g} s: the session's clock stands still; send "
                "silence or `gap` while there is none, or stop",
            )

    async def cancel(self) -> None:
        """End at once, without finals."""
        self._running.cancel()
        await asyncio.wait({self._running})


def _without_credentials(start: messages.Start) -> messages.Start:
    return msgspec.structs.replace(start, token=None, resume=None)


def _retrieve_exception(running: asyncio.Task[None]) -> None:
    """A failure is logged and sent to the client; asyncio need not report it again where no client waits."""
    if not running.cancelled():
        running.exception()
