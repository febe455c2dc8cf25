"""One port: the page, /healthz, the list of streams, the schema and the socket."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from importlib.resources import as_file, files
from socket import socket as Socket
from types import TracebackType
from typing import Final

from websockets.asyncio.server import Server as WebSocketServer
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from emostream.models import SAMPLE_RATE_HZ, Clip

from . import events
from .admission import Admission
from .asking import NotNowError
from .batcher import ModelThread
from .clock import Clock
from .config import Settings
from .door import WILDCARDS, Door
from .engine import Engine
from .errors import (
    AnalysisError,
    BadStartError,
    ConfigError,
    EmostreamError,
    ProtocolError,
    SourceError,
    UnknownStreamError,
)
from .hub import Hub
from .listening import cannot_listen
from .pages import Facts, Pages
from .recording import read_whole
from .session import Session
from .socket_session import make_session, read_socket
from .tasks import task_group
from .vad import make_vad
from .watching import OwnStream, show_stream

log = logging.getLogger(__name__)

_DRAIN_S: Final = 1.2  # what is left of the two seconds that a person waits after Ctrl-C
_GOODBYE_S: Final = 0.4


class Server:
    """`async with` listens on `bound` (see `listening.bind`) and closes it in the end."""

    def __init__(
        self,
        bound: Socket,
        engine: Engine,
        settings: Settings,
        clock: Clock,
        streams: Sequence[OwnStream] = (),
    ) -> None:
        self._bound = bound
        self._engine = engine
        self._settings = settings
        self._clock = clock
        self._streams = {stream.name: stream for stream in streams}
        self._door = Door(settings.server)
        self._pages = Pages(self._door, self._facts, engine.metrics.text)
        self._models = models_of(engine, settings)

        self._listener: WebSocketServer | None = None
        self._closing = False
        self._closing_since = 0.0
        self._sessions: set[Session] = set()
        self._handlers: set[asyncio.Task[None]] = set()
        self._admission = Admission(
            [partial(_busy, thread) for thread in engine.threads], clock, settings.server.max_load
        )
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
        return f"http://{shown}:{self.port}"

    async def __aenter__(self) -> Server:
        # Strangers' broken handshakes are their own affair; our own failures are logged in `_handle`.
        quiet = logging.getLogger("emostream.websockets")
        quiet.setLevel(logging.CRITICAL)
        try:
            self._listener = await serve(
                self._handle,
                sock=self._bound,
                process_request=self._pages.answer,
                select_subprotocol=_select_subprotocol,
                compression=None,
                max_size=self._settings.server.message_bytes,
                server_header=None,
                logger=quiet,
            )
        except OSError as error:  # another server that was bound at the same time was faster to listen
            raise cannot_listen(self._settings.server, error) from error
        self._watching = asyncio.create_task(self._watch(), name="watch the load")
        return self

    def wind_down(self) -> None:
        """The house closes: sessions end as if their sound were over. Newcomers' end at once."""
        if self._closing:
            return
        self._closing = True
        self._closing_since = self._clock.now()
        self._engine.hurry()
        for session in tuple(self._sessions):
            session.stop()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Sessions get their finals out, within a bound, then every socket is closed with 1001."""
        self.wind_down()
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

    async def _watch(self) -> None:
        """What a stream costs is measured once before there is one, and then by those that there are."""
        try:
            clip = await asyncio.to_thread(_rehearsal)
            self._admission.expect(await self._engine.rehearse(clip))
        except (AnalysisError, SourceError) as error:
            log.warning("no rehearsal: %s", error)
        except NotNowError:
            pass  # those that are inside show what a stream costs
        while True:
            self._admission.watch()
            await self._clock.sleep_until(self._clock.now() + 1.0)

    def _facts(self) -> Facts:
        return Facts(
            status="closing" if self._closing else "ok",
            models=self._models,
            sessions=len(self._sessions),
            connections=len(self._handlers),
            streams=tuple(self._streams.values()),
        )

    async def _handle(self, socket: ServerConnection) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._handlers.add(task)
        try:
            await self._welcome(socket)
        except ConnectionClosed:
            pass  # the client left: there is nobody to tell
        except EmostreamError as error:
            self._engine.metrics.refusals.labels(error.code).inc()
            await _refuse(socket, error.code, str(error), error.close_code, error.retry_after_ms)
        except Exception:
            log.exception("a session failed")
            await _refuse(socket, "internal", "the server failed; its log says why", 1011)
        finally:
            self._handlers.discard(task)

    async def _welcome(self, socket: ServerConnection) -> None:
        headers = Headers() if socket.request is None else socket.request.headers
        self._door.check_host(headers.get("Host"))
        self._door.check_origin(headers.get_all("Origin"), headers.get("Host"))
        match await self._first_message(socket):
            case events.Start() as start:
                await self._serve_session(socket, start)
            case events.Watch() as watch:
                await self._serve_watcher(socket, watch)
            case other:
                raise BadStartError(
                    f"expected start or watch as the first message, got {type(other).__name__.lower()}"
                )

    async def _first_message(self, socket: ServerConnection) -> events.ClientMessage:
        limit_ms = self._settings.server.start_ms
        try:
            async with asyncio.timeout(limit_ms / 1_000):
                message = await socket.recv()
        except TimeoutError:
            raise BadStartError(f"expected start or watch within {limit_ms} ms, got nothing") from None
        if isinstance(message, bytes):
            raise BadStartError("expected start or watch as the first message, got audio; send start first")
        try:
            return events.decode_client(message)
        except ProtocolError as error:
            raise BadStartError(str(error)) from error

    async def _serve_session(self, socket: ServerConnection, start: events.Start) -> None:
        self._admission.admit(len(self._sessions))
        hub = Hub.with_new_name()
        try:
            session, source = make_session(socket, start, self._settings, self._engine, hub, self._clock)
        except ConfigError as error:
            raise BadStartError(str(error)) from error
        await socket.send(
            events.encode(
                self._ready(
                    hub.session,
                    secrets.token_urlsafe(24),
                    None if start.resume is None else start.resume.last_seq + 1,
                )
            )
        )
        self._sessions.add(session)
        self._engine.metrics.sessions.inc()
        self._engine.metrics.open_sessions.inc()
        if self._closing:
            session.stop()
        code = 1000
        try:
            async with task_group() as group:
                reader = group.create_task(read_socket(socket, source), name="read")
                try:
                    await session.run()
                except EmostreamError as error:
                    code = error.close_code  # its `error` event has been sent by the session
                reader.cancel()
        finally:
            self._sessions.discard(session)
            self._engine.metrics.open_sessions.dec()
        await socket.close(1001 if self._closing else code)

    async def _serve_watcher(self, socket: ServerConnection, watch: events.Watch) -> None:
        stream = self._streams.get(watch.stream)
        if stream is None:
            known = ", ".join(self._streams) or "none"
            raise UnknownStreamError(
                f"expected a stream of this server ({known}), got {watch.stream!r}; see /v1/streams"
            )
        lost = None if watch.resume is None else watch.resume.last_seq + 1
        await socket.send(events.encode(self._ready(stream.hub.session, None, lost)))
        await show_stream(socket, stream, self._settings.server.watcher_events)
        await socket.close(1001 if self._closing else 1000)

    def _ready(self, session: str, secret: str | None, lost_from_seq: int | None) -> events.Ready:
        limits = self._settings.server
        return events.Ready(
            session=session,
            secret=secret,
            labels=self._engine.recognizer.labels,
            models=self._models,
            limits=events.Limits(message_bytes=limits.message_bytes, ahead_ms=limits.ahead_ms),
            lost_from_seq=lost_from_seq,
        )


def _busy(thread: ModelThread) -> float:
    return thread.busy_s


def _rehearsal() -> Clip:
    """Four seconds of the demo's speech. Raises SourceError."""
    with as_file(files("emostream.demo") / "recording.ogg") as file:
        return Clip(read_whole(file)[: 4 * SAMPLE_RATE_HZ])


def models_of(engine: Engine, settings: Settings) -> events.Models:
    return events.Models(
        vad=make_vad(settings.vad).name,
        asr=None if engine.transcriber is None else engine.transcriber.name,
        emotion=engine.recognizer.name,
        device=engine.recognizer.device,
    )


async def _refuse(
    socket: ServerConnection, code: str, message: str, close_code: int, retry_after_ms: int | None = None
) -> None:
    """An `error` first, since a browser shows its page nothing of a failed handshake."""
    try:
        told = events.Error(code=code, message=message, fatal=True, retry_after_ms=retry_after_ms)
        await socket.send(events.encode(told))
    except ConnectionClosed:
        return
    await socket.close(close_code)


def _select_subprotocol(connection: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    """A client that offers none is taken as version 1."""
    ours = Subprotocol(events.SUBPROTOCOL)
    return ours if ours in offered else None
