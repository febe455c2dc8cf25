"""After the handshake: a socket gets a session of its own, or the events of a published stream."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

import msgspec
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from ..clock import Clock
from ..config import Settings
from ..errors import (
    BadStartError,
    ConfigError,
    EmostreamError,
    SessionSupersededError,
    UnknownStreamError,
)
from ..inference.admission import AdmissionController
from ..inference.backend import InferenceBackend
from ..pipeline.conversions import describe_models
from ..pipeline.event_log import EventLog
from ..pipeline.session import Session
from ..protocol import messages
from ..protocol.close_codes import CloseCode
from ..protocol.transport import close_socket
from .client_session import ClientSession
from .event_stream import ReadPosition
from .handshake import FirstMessage
from .log import session_id
from .published_stream import PublishedStream, serve_subscriber
from .session_factory import analysed_channel_count, create_session, remarks
from .sessions import SessionRegistry
from .websocket_source import WebSocketSource

log = logging.getLogger(__name__)


class ConnectionHandler:
    """streams: the published ones by name. closing: whether the server shuts down."""

    def __init__(
        self,
        engine: InferenceBackend,
        settings: Settings,
        clock: Clock,
        streams: Mapping[str, PublishedStream],
        admission: AdmissionController,
        closing: Callable[[], bool],
    ) -> None:
        self.sessions = SessionRegistry(self._create_session, settings.server, clock, engine.metrics)
        self.models = describe_models(engine, settings.vad)
        self._engine = engine
        self._settings = settings
        self._clock = clock
        self._streams = streams
        self._admission = admission
        self._closing = closing

    async def serve(
        self,
        socket: ServerConnection,
        first: FirstMessage,
        address: str,
    ) -> None:
        """Until the stream is over and the socket closed.

        Raises EmostreamError where the client must be rejected, and ConnectionClosed.
        """
        if isinstance(first.message, messages.Start):
            await self._serve_session(socket, first.message, first, address)
        else:
            await self._serve_subscriber(socket, first.message)

    async def _serve_session(
        self, socket: ServerConnection, start: messages.Start, first: FirstMessage, address: str
    ) -> None:
        found = self.sessions.find(start.resume, first.owner)
        if found is not None:
            found.position(start)  # raises before the older socket is closed
            self._engine.metrics.resumed.inc()
        session = found or self._begin(start, first)
        session_id.set(session.name)
        log.info(
            "a session begins" if found is None else "a session is resumed",
            extra={"fields": {"address": address}},
        )

        def ready(position: ReadPosition) -> messages.Ready:
            return msgspec.structs.replace(
                self._ready(session.name, session.resume_token, position),
                received_samples=session.received_samples,
                received_gap_ms=session.received_gap_ms,
            )

        code = await self._serve_until_end(session, socket, start, ready)
        await close_socket(socket, CloseCode.GOING_AWAY if self._closing() else code)
        if socket.protocol.close_rcvd is not None:
            self.sessions.abandon(session)
        totals = {} if session.totals is None else msgspec.structs.asdict(session.totals)
        log.info("a session ends", extra={"fields": {"close_code": code} | totals})

    async def _serve_until_end(
        self,
        session: ClientSession,
        socket: ServerConnection,
        start: messages.Start,
        ready: Callable[[ReadPosition], messages.Ready],
    ) -> int:
        """The close code. Whether the session stays for a resume is decided here."""
        try:
            error = await session.serve(socket, start, ready)
        except SessionSupersededError:
            raise
        except ConnectionClosed as closed:
            # A client that closes in good order does not resume, nor can one that never got `ready`.
            in_good_order = closed.rcvd is not None and closed.rcvd.code == CloseCode.NORMAL
            if in_good_order or not session.ready_sent:
                self.sessions.abandon(session)
            log.info(
                "a client has disconnected"
                if in_good_order
                else "a client has disconnected; its session waits for a resume"
            )
            raise
        except Exception:
            self.sessions.abandon(session)
            raise
        return CloseCode.NORMAL if error is None else error.close_code

    def _begin(self, start: messages.Start, first: FirstMessage) -> ClientSession:
        self._engine.capacity.ensure_available()
        channels = analysed_channel_count(start, self._settings)
        self._admission.admit(self.sessions.attached_channel_count, channels)
        try:
            session = self.sessions.begin(start, first.owner)
        except EmostreamError:
            self._admission.cancel_last()
            raise
        for remark in remarks(start, first.unknown, self._engine.model_info):
            session.warn(remark)
        return session

    def ensure_capacity(self) -> None:
        """Whether the models have time for a recording, which gives way to streams and counts as none. Raises
        OverloadedError.
        """
        self._admission.admit(self.sessions.attached_channel_count)
        self._admission.cancel_last()

    def _create_session(self, start: messages.Start, event_log: EventLog) -> tuple[Session, WebSocketSource]:
        try:
            return create_session(start, event_log, self._settings, self._engine, self._clock)
        except ConfigError as error:
            raise BadStartError(str(error)) from error

    async def _serve_subscriber(self, socket: ServerConnection, subscribe: messages.Subscribe) -> None:
        stream = self._streams.get(subscribe.stream)
        if stream is None:
            known = ", ".join(self._streams) or "none"
            raise UnknownStreamError(
                f"expected a stream of this server ({known}), got {subscribe.stream!r}; see /v1/streams"
            )

        def ready(position: ReadPosition) -> messages.Ready:
            return msgspec.structs.replace(
                self._ready(stream.event_log.session, None, position), clock_ms=stream.event_log.clock_ms
            )

        capacity = self._settings.server.subscriber_queue_size
        await serve_subscriber(socket, stream, subscribe, capacity, ready)
        await close_socket(socket, CloseCode.GOING_AWAY if self._closing() else CloseCode.NORMAL)

    def _ready(self, session: str, resume_token: str | None, position: ReadPosition) -> messages.Ready:
        limits = self._settings.server
        return messages.Ready(
            session=session,
            resume_token=resume_token,
            labels=self._engine.model_info.labels,
            models=self.models,
            limits=messages.Limits(
                message_bytes=limits.message_bytes,
                max_unacked_ms=limits.max_unacked_ms,
                session_ms=limits.session_ms or None,
                idle_ms=limits.idle_ms or None,
            ),
            resumed=position.resumed,
            lost_from_seq=position.lost_from_seq,
        )
