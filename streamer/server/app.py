"""The server: one port for the page, plain HTTP and the websocket; this module wires its parts together."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from http import HTTPStatus
from socket import socket as Socket
from types import TracebackType
from typing import Final, Literal

import msgspec
from websockets.asyncio.server import Server as WebSocketServer
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from ..clock import Clock
from ..config import Settings
from ..errors import EmostreamError
from ..inference.admission import AdmissionController
from ..inference.backend import InferenceBackend
from ..protocol.close_codes import CloseCode
from ..protocol.error_codes import ErrorCode
from .connection_handler import ConnectionHandler
from .file_limit import fit_to_file_limit
from .handshake import Handshake, reject, select_subprotocol
from .http import HttpHandler, ServerStatus
from .incoming import HTTP_RESERVE, IncomingConnection, IncomingConnections
from .listen import start_listening
from .openai.endpoint import Gate, TranscriptionEndpoint
from .origin import WILDCARDS, OriginPolicy
from .published_stream import PublishedStream
from .requests import RequestServer
from .responses import STREAM_PATH, retry_later_response, without_body
from .tls import make_tls_context
from .warm_up import Watchdog

log = logging.getLogger(__name__)

_DRAIN_S: Final = 1.2  # what is left of the two seconds that a person waits after Ctrl-C
_CLOSE_S: Final = 0.4
_RESTART_S: Final = 5.0  # when a client may find the next server


class Server:
    """`async with` listens on `bound` (see `listen.bind`) and closes it in the end."""

    def __init__(
        self,
        bound: Socket,
        engine: InferenceBackend,
        settings: Settings,
        clock: Clock,
        streams: Sequence[PublishedStream] = (),
    ) -> None:
        settings = msgspec.structs.replace(settings, server=fit_to_file_limit(settings.server))
        self._bound = bound
        self._engine = engine
        self._settings = settings.server
        self._clock = clock
        self._streams = {stream.name: stream for stream in streams}

        self._listener: WebSocketServer | None = None
        self._closing = False
        self._closing_since = 0.0
        self._handlers: set[asyncio.Task[None]] = set()

        self._tls = make_tls_context(settings.server)
        origins = OriginPolicy(settings.server)
        self._incoming = IncomingConnections(settings.server.connections + HTTP_RESERVE, self._handlers)
        self._handshake = Handshake(settings.server, origins, clock, self._incoming)
        self._http = HttpHandler(
            origins,
            self._status,
            engine.metrics.text,
            self._handshake.authenticate_request,
            started_at=int(time.time()),
        )
        admission = AdmissionController(engine.capacity, clock, settings.server.max_load)
        self._connections = ConnectionHandler(
            engine, settings, clock, self._streams, admission, lambda: self._closing
        )
        self._sessions = self._connections.sessions
        gate = Gate(self._handshake.check_request, self._connections.ensure_capacity)
        self._transcriptions = TranscriptionEndpoint(gate, engine, settings, clock)
        self._requests = RequestServer(self._transcriptions)
        self._watchdog = Watchdog(engine, admission, clock, self._every_second)
        self._watching: asyncio.Task[None] | None = None

        engine.metrics.connections.set_function(lambda: len(self._handlers))
        engine.metrics.disconnected_sessions.set_function(lambda: self._sessions.detached_count)

    @property
    def port(self) -> int:
        port: int = self._bound.getsockname()[1]
        return port

    @property
    def url(self) -> str:
        """Where a browser on this machine finds the page."""
        host = self._settings.host
        if host in WILDCARDS:
            host = "127.0.0.1"
        shown = f"[{host}]" if ":" in host else host
        return f"{'http' if self._tls is None else 'https'}://{shown}:{self.port}"

    async def __aenter__(self) -> Server:
        self._listener = await start_listening(
            self._bound,
            self._settings,
            self._incoming,
            self._tls,
            handler=self._handle,
            process_request=self._process_request,
            serve_request=self._requests.serve,
            select_subprotocol=select_subprotocol,
            max_size=self._settings.message_bytes,
        )
        self._watching = asyncio.create_task(self._watchdog.run(), name="watchdog")
        return self

    def publish(self, stream: PublishedStream) -> None:
        """From now on, in place of the stream of that name. Its subscribers keep what they follow."""
        self._streams[stream.name] = stream

    def begin_shutdown(self) -> None:
        """Sessions end as if their audio were over; new ones end at once."""
        if self._closing:
            return
        self._closing = True
        self._closing_since = self._clock.now()
        self._engine.begin_shutdown()
        self._sessions.begin_shutdown()
        self._transcriptions.begin_shutdown()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Sessions send their finals, within a bound, then every socket is closed with 1001."""
        self.begin_shutdown()
        if self._watching is not None:
            self._watching.cancel()
        if self._handlers:
            left_s = self._closing_since + _DRAIN_S - self._clock.now()
            await asyncio.wait(self._handlers, timeout=max(0.1, left_s))
        await self._incoming.cancel_requests()
        if self._listener is not None:
            self._listener.close()
            # A client that does not answer the closing handshake is not waited for.
            with suppress(TimeoutError):
                async with asyncio.timeout(_CLOSE_S):
                    await self._listener.wait_closed()
        await self._sessions.cancel_all()

    def _status(self) -> ServerStatus:
        health = self._engine.health()
        status: Literal["ok", "warming", "failing", "closing"] = "ok"
        if self._closing:
            status = "closing"
        elif not self._watchdog.warm:
            status = "warming"
        elif health.unresponsive:
            status = "failing"
        return ServerStatus(
            status=status,
            problems=health.problems,
            models=self._connections.models,
            sessions=self._sessions.running_count,
            connections=len(self._handlers),
            streams=tuple(self._streams.values()),
        )

    def _every_second(self) -> None:
        self._incoming.report()
        self._sessions.enforce_limits()

    async def _process_request(self, connection: ServerConnection, request: Request) -> Response | None:
        """Answer plain HTTP always, so that monitoring works on a full server; reject an upgrade for which
        there is no capacity.
        """
        assert isinstance(connection, IncomingConnection)
        if request.path.partition("?")[0] == STREAM_PATH and not connection.head:
            if self._closing:
                text = "expected a server, got one that shuts down; try again later"
                return retry_later_response(text, _RESTART_S, HTTPStatus.SERVICE_UNAVAILABLE)
            return self._handshake.check_capacity(connection, request)
        response = await self._http.answer(connection, request)
        return without_body(response) if connection.head else response

    async def _handle(self, socket: ServerConnection) -> None:
        task = asyncio.current_task()
        assert task is not None
        assert isinstance(socket, IncomingConnection)
        self._handlers.add(task)
        self._incoming.discard(socket, valid=True)
        try:
            first = await self._handshake.receive_first_message(socket)
            address = self._handshake.address(socket, socket.request)
            await self._connections.serve(socket, first, address)
        except ConnectionClosed:
            pass  # there is no client left to report to
        except EmostreamError as error:
            self._engine.metrics.rejected.labels(error.code).inc()
            await reject(socket, error.code, str(error), error.close_code, error.retry_after_ms)
        except Exception:
            log.exception("a connection failed")
            await reject(
                socket, ErrorCode.INTERNAL, "the server failed; see its log", CloseCode.INTERNAL_ERROR
            )
        finally:
            self._handlers.discard(task)
