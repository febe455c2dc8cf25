"""One port: the page, /healthz, the list of streams, the schema and the socket."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Sequence
from contextlib import suppress
from http import HTTPStatus
from importlib.resources import as_file, files
from pathlib import Path
from socket import socket as Socket
from types import TracebackType
from typing import Final, Literal

import msgspec
from websockets.asyncio.server import Server as WebSocketServer
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from emostream.models import SAMPLE_RATE_HZ, Clip

from ..audio.decode import decode_file
from ..clock import Clock
from ..config import ServerSettings, Settings
from ..errors import (
    AnalysisError,
    BadStartError,
    ConfigError,
    EmostreamError,
    ProtocolError,
    SessionSupersededError,
    SourceError,
    UnknownStreamError,
)
from ..inference.admission import AdmissionController
from ..inference.backend import InferenceBackend
from ..inference.request import RequestShedError
from ..pipeline.event_log import EventLog
from ..pipeline.session import Session
from ..pipeline.vad import make_vad
from ..protocol import messages
from ..protocol.close_codes import CloseCode
from ..protocol.error_codes import ErrorCode
from ..protocol.transport import close_socket
from .auth import TokenAuthenticator, bearer, read_tokens
from .client_session import ClientSession
from .event_stream import ReadPosition
from .http import HttpHandler, ServerStatus, retry_later_response
from .listen import listen_error
from .log import session as told_of
from .origin import WILDCARDS, OriginPolicy, single
from .published_stream import PublishedStream, serve_subscriber
from .rate_limit import RateLimiter, client_address
from .session_factory import create_session
from .sessions import SessionRegistry
from .websocket_source import WebSocketSource

log = logging.getLogger(__name__)

_DRAIN_S: Final = 1.2  # what is left of the two seconds that a person waits after Ctrl-C
_GOODBYE_S: Final = 0.4
_REFUSAL_S: Final = 5.0  # for whoever is told why, over whatever line


class Server:
    """`async with` listens on `bound` (see `listening.bind`) and closes it in the end."""

    def __init__(
        self,
        bound: Socket,
        engine: InferenceBackend,
        settings: Settings,
        clock: Clock,
        streams: Sequence[PublishedStream] = (),
    ) -> None:
        self._bound = bound
        self._engine = engine
        self._settings = settings
        self._clock = clock
        self._streams = {stream.name: stream for stream in streams}
        self._door = OriginPolicy(settings.server)
        self._tokens = TokenAuthenticator.from_file(settings.server.token_file, clock)
        self._visitors = RateLimiter(clock, settings.server.connections_per_minute)
        self._tls = _tls(settings.server)
        self._pages = HttpHandler(self._door, self._facts, engine.metrics.text, self._check_request)
        self._models = describe_models(engine, settings)

        self._listener: WebSocketServer | None = None
        self._closing = False
        self._closing_since = 0.0
        engine.metrics.connections.set_function(lambda: len(self._handlers))
        engine.metrics.disconnected_sessions.set_function(
            lambda: sum(one.running and not one.attached for one in self._residents)
        )
        self._residents = SessionRegistry(self._make_session, settings.server, clock, engine.metrics)
        self._warm = False
        self._handlers: set[asyncio.Task[None]] = set()
        self._admission = AdmissionController(engine.capacity, clock, settings.server.max_load)
        self._watching: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        port: int = self._bound.getsockname()[1]
        return port

    @property
    def url(self) -> str:
        """Where a browser on this machine finds the page."""
        host = self._settings.server.host
        if host in WILDCARDS:
            host = "127.0.0.1"
        shown = f"[{host}]" if ":" in host else host
        return f"{'http' if self._tls is None else 'https'}://{shown}:{self.port}"

    async def __aenter__(self) -> Server:
        # Strangers' broken handshakes are their own affair; our own failures are logged in `_handle`.
        quiet = logging.getLogger("emostream.websockets")
        quiet.setLevel(logging.CRITICAL)
        try:
            self._listener = await serve(
                self._handle,
                sock=self._bound,
                process_request=self._answer,
                ssl=self._tls,
                select_subprotocol=_select_subprotocol,
                compression=None,
                max_size=self._settings.server.message_bytes,
                server_header=None,
                logger=quiet,
            )
        except OSError as error:  # another server that was bound at the same time was faster to listen
            raise listen_error(self._settings.server, error) from error
        self._watching = asyncio.create_task(self._watch(), name="watch the load")
        return self

    def begin_shutdown(self) -> None:
        """The house closes: sessions end as if their sound were over. Newcomers' end at once."""
        if self._closing:
            return
        self._closing = True
        self._closing_since = self._clock.now()
        self._engine.begin_shutdown()
        self._residents.begin_shutdown()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Sessions get their finals out, within a bound, then every socket is closed with 1001."""
        self.begin_shutdown()
        if self._watching is not None:
            self._watching.cancel()
        if self._handlers:
            await asyncio.wait(
                self._handlers, timeout=max(0.1, self._closing_since + _DRAIN_S - self._clock.now())
            )
        if self._listener is not None:
            self._listener.close()
            # A client that does not answer the closing handshake is not waited for.
            with suppress(TimeoutError):
                async with asyncio.timeout(_GOODBYE_S):
                    await self._listener.wait_closed()
        await self._residents.dismiss()

    async def _watch(self) -> None:
        """What a stream costs is measured once before there is one, and then by those that there are."""
        rehearsal: asyncio.Task[None] | None = None
        try:
            while True:
                if not self._warm and (rehearsal is None or rehearsal.done()):
                    # Of its own: one that hangs must not keep the rest from being looked at.
                    rehearsal = asyncio.create_task(self._warm_up(), name="rehearsal")
                self._look_after(rehearsing=rehearsal is not None and not rehearsal.done())
                await self._clock.sleep_until(self._clock.now() + 1.0)
        finally:
            if rehearsal is not None:
                rehearsal.cancel()

    async def _warm_up(self) -> None:
        self._warm = await self._rehearse()

    def _look_after(self, *, rehearsing: bool) -> None:
        if not rehearsing:  # what a rehearsal costs no stream does
            self._admission.sample()
        try:
            self._residents.enforce_limits()
        except Exception:
            log.exception("a session could not be looked after")

    async def _rehearse(self) -> bool:
        """Whether the models have judged a first utterance; where they could not, they are asked again."""
        try:
            clip = await asyncio.to_thread(_rehearsal)
            self._admission.expect(await self._engine.warm_up(clip))
        except SourceError as error:  # the recording is missing, the models are not
            log.warning("no rehearsal: %s", error)
        except RequestShedError:
            return False  # they have too much to do
        except AnalysisError as error:
            log.warning("no rehearsal: %s", error)
            return False
        except Exception:
            log.exception("the rehearsal failed")
            return False
        return True

    def _facts(self) -> ServerStatus:
        return ServerStatus(
            status=self._status(),
            trouble=self._engine.health().problems,
            models=self._models,
            sessions=self._residents.running,
            connections=len(self._handlers),
            streams=tuple(self._streams.values()),
        )

    def _status(self) -> Literal["ok", "warming", "failing", "closing"]:
        if self._closing:
            return "closing"
        if not self._warm:
            return "warming"
        return "failing" if self._engine.health().unresponsive else "ok"

    async def _answer(self, connection: ServerConnection, request: Request) -> Response | None:
        """To plain HTTP, always: who looks whether a full house is well is to see that it is. To a socket's
        handshake where there is no room for it.
        """
        if request.path.partition("?")[0] != "/v1/stream":
            return await self._pages.answer(connection, request)
        wait_s = self._visitors.retry_after_s(self._address(connection, request))
        if wait_s:
            most = self._settings.server.connections_per_minute
            return retry_later_response(
                f"expected at most {most} connections a minute from an address, got more", wait_s
            )
        if len(self._handlers) >= self._settings.server.connections:
            most = self._settings.server.connections
            text = f"expected at most {most} connections at once, got more; try again later"
            return retry_later_response(text, 5.0, HTTPStatus.SERVICE_UNAVAILABLE)
        return await self._pages.answer(connection, request)

    async def _check_request(self, connection: ServerConnection, request: Request) -> str | None:
        token = bearer(single(request.headers, "Authorization"))
        return await self._tokens.check(token, self._address(connection, request))

    def _address(self, connection: ServerConnection, request: Request | None) -> str:
        """Of the client: what counts as one visitor."""
        if self._settings.server.trust_proxy_headers and request is not None:
            forwarded = request.headers.get_all("X-Forwarded-For")
            if forwarded:  # the last one is the proxy's own word, those before it the client's
                return client_address((forwarded[-1].rpartition(",")[2].strip(),))
        return client_address(connection.remote_address)

    async def _handle(self, socket: ServerConnection) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._handlers.add(task)
        try:
            await self._welcome(socket)
        except ConnectionClosed:
            pass  # the client left: there is nobody to tell
        except EmostreamError as error:
            self._engine.metrics.rejected.labels(error.code).inc()
            await _refuse(socket, error.code, str(error), error.close_code, error.retry_after_ms)
        except Exception:
            log.exception("a session failed")
            await _refuse(
                socket, ErrorCode.INTERNAL, "the server failed; its log says why", CloseCode.INTERNAL_ERROR
            )
        finally:
            self._handlers.discard(task)

    async def _welcome(self, socket: ServerConnection) -> None:
        headers = Headers() if socket.request is None else socket.request.headers
        host = single(headers, "Host")
        self._door.check_host(host)
        self._door.check_origin(headers.get_all("Origin"), host)
        first = await self._first_message(socket)
        if not isinstance(first, messages.Start | messages.Subscribe):
            raise BadStartError(
                f"expected start or subscribe as the first message, got {type(first).__name__.lower()}"
            )
        token = first.token or bearer(single(headers, "Authorization"))
        owner = await self._tokens.check(token, self._address(socket, socket.request))
        if isinstance(first, messages.Start):
            await self._serve_session(socket, first, owner)
        else:
            await self._serve_watcher(socket, first)

    async def _first_message(self, socket: ServerConnection) -> messages.ClientMessage:
        limit_ms = self._settings.server.start_ms
        try:
            async with asyncio.timeout(limit_ms / 1_000):
                message = await socket.recv()
        except TimeoutError:
            raise BadStartError(f"expected start or subscribe within {limit_ms} ms, got nothing") from None
        if isinstance(message, bytes):
            raise BadStartError(
                "expected start or subscribe as the first message, got audio; send start first"
            )
        try:
            return messages.decode_client_message(message)
        except ProtocolError as error:
            raise BadStartError(str(error)) from error

    async def _serve_session(
        self, socket: ServerConnection, start: messages.Start, owner: str | None
    ) -> None:
        found = self._residents.find(start.resume, owner)
        if found is not None:
            found.position(start)  # raises before the older socket is closed
            self._engine.metrics.resumed.inc()
        one = found or self._begin(start, owner)
        told_of.set(one.name)
        log.info(
            "a client begins" if found is None else "a client comes back",
            extra={"facts": {"address": self._address(socket, socket.request)}},
        )

        def ready(position: ReadPosition) -> messages.Ready:
            return msgspec.structs.replace(
                self._ready(one.name, one.resume_token, position),
                received_samples=one.received_samples,
                received_gap_ms=one.received_gap_ms,
            )

        try:
            code = await self._residents.serve(one, socket, start, ready)
        except SessionSupersededError:
            raise
        except ConnectionClosed as gone:
            # Who says goodbye does not come back, nor does who never learned the session's name.
            goodbye = gone.rcvd is not None and gone.rcvd.code == CloseCode.NORMAL
            if goodbye or not one.ready_sent:
                self._residents.leave(one)
            log.info("a client is gone" if goodbye else "a client is gone; its session waits for it")
            raise
        except Exception:
            self._residents.leave(one)
            raise
        await close_socket(socket, CloseCode.GOING_AWAY if self._closing else code)
        if socket.protocol.close_rcvd is not None:
            self._residents.leave(one)
        totals = {} if one.totals is None else msgspec.structs.asdict(one.totals)
        log.info("a session is over", extra={"facts": {"close_code": code} | totals})

    def _begin(self, start: messages.Start, owner: str | None) -> ClientSession:
        self._admission.admit(self._residents.heard)
        try:
            return self._residents.begin(start, owner)
        except EmostreamError:
            self._admission.cancel_last()
            raise

    def _make_session(self, start: messages.Start, event_log: EventLog) -> tuple[Session, WebSocketSource]:
        try:
            return create_session(start, event_log, self._settings, self._engine, self._clock)
        except ConfigError as error:
            raise BadStartError(str(error)) from error

    async def _serve_watcher(self, socket: ServerConnection, watch: messages.Subscribe) -> None:
        stream = self._streams.get(watch.stream)
        if stream is None:
            known = ", ".join(self._streams) or "none"
            raise UnknownStreamError(
                f"expected a stream of this server ({known}), got {watch.stream!r}; see /v1/streams"
            )

        def ready(position: ReadPosition) -> messages.Ready:
            return msgspec.structs.replace(
                self._ready(stream.event_log.session, None, position), clock_ms=stream.event_log.clock_ms
            )

        capacity = self._settings.server.subscriber_queue_size
        await serve_subscriber(socket, stream, watch.resume, capacity, ready)
        await close_socket(socket, CloseCode.GOING_AWAY if self._closing else CloseCode.NORMAL)

    def _ready(self, session: str, resume_token: str | None, position: ReadPosition) -> messages.Ready:
        limits = self._settings.server
        return messages.Ready(
            session=session,
            resume_token=resume_token,
            labels=self._engine.model_info.labels,
            models=self._models,
            limits=messages.Limits(
                message_bytes=limits.message_bytes,
                max_unacked_ms=limits.max_unacked_ms,
                session_ms=limits.session_ms or None,
                idle_ms=limits.idle_ms or None,
            ),
            resumed=position.resumed,
            lost_from_seq=position.lost_from_seq,
        )


def _rehearsal() -> Clip:
    """Four seconds of the demo's speech. Raises SourceError."""
    with as_file(files("emostream.demo") / "recording.ogg") as file:
        return Clip(decode_file(file)[: 4 * SAMPLE_RATE_HZ])


def describe_models(engine: InferenceBackend, settings: Settings) -> messages.Models:
    model_info = engine.model_info
    return messages.Models(
        vad=make_vad(settings.vad).name,
        asr=model_info.asr,
        emotion=model_info.emotion,
        device=model_info.device,
    )


async def _refuse(
    socket: ServerConnection, code: str, message: str, close_code: int, retry_after_ms: int | None = None
) -> None:
    """An `error` first, since a browser shows its page nothing of a failed handshake."""
    told = messages.Error(code=code, message=message, fatal=True, retry_after_ms=retry_after_ms)
    try:
        async with asyncio.timeout(_REFUSAL_S):  # who does not read is not waited for
            await socket.send(messages.encode(told))
            await close_socket(socket, close_code)
    except ConnectionClosed:
        return
    except TimeoutError:
        socket.transport.abort()


def _select_subprotocol(connection: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    """A client that offers none is taken as version 1."""
    ours = Subprotocol(messages.SUBPROTOCOL)
    return ours if ours in offered else None


def _tls(settings: ServerSettings) -> ssl.SSLContext | None:
    """Raises ConfigError."""
    if settings.ssl_certfile is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(settings.ssl_certfile, settings.ssl_keyfile)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"expected a certificate and its key as PEM files ({settings.ssl_certfile}, "
            f"{settings.ssl_keyfile}), got: {error}; check both"
        ) from error
    return context


def check_credentials(settings: ServerSettings) -> None:
    """Before models are loaded: whether tokens and certificate can be read. Raises ConfigError."""
    if settings.token_file is not None:
        read_tokens(Path(settings.token_file))
    _tls(settings)
