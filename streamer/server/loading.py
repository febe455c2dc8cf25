"""What answers on the port while the models load: the page at once, health, and "try again" for the rest."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from socket import socket as Socket
from types import TracebackType
from typing import Final, TypeVar

from websockets.asyncio.server import Server as WebSocketServer
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

from ..config import ServerSettings
from ..inference.model_worker import ModelWorker
from .file_limit import fit_to_file_limit
from .http import HttpHandler, ServerStatus
from .incoming import HTTP_RESERVE, IncomingConnection, IncomingConnections
from .listen import start_listening
from .origin import OriginPolicy
from .responses import retry_later_response, without_body
from .tls import make_tls_context

Loaded = TypeVar("Loaded")

_RETRY_S: Final = 1.0
_CLOSE_S: Final = 0.4
_NEEDS_MODELS: Final = ("/v1/stream", "/v1/models", "/v1/audio", "/metrics")
"""What paths begin with that have no answer without models: a session, the streams and their audio."""


async def load_behind_page(bound: Socket, settings: ServerSettings, load: Callable[[], Loaded]) -> Loaded:
    """What `load` returns or raises; it runs in a thread of its own, while the port answers.

    Cancelled, it does not wait for the thread.
    """
    worker = ModelWorker("loading")
    try:
        async with LoadingServer(bound, settings):
            return await worker.run(load)
    finally:
        worker.close()


class LoadingServer:
    """`async with` listens on `bound`, and leaves it listening in the end, so that no connection is refused
    before the server that follows takes it over.
    """

    def __init__(self, bound: Socket, settings: ServerSettings) -> None:
        self._bound = bound
        self._settings = fit_to_file_limit(settings)
        self._tls = make_tls_context(settings)
        self._incoming = IncomingConnections(self._settings.connections + HTTP_RESERVE, set())
        self._http = HttpHandler(
            OriginPolicy(settings), _status, lambda: b"", _no_owner, started_at=int(time.time())
        )
        self._listener: WebSocketServer | None = None

    async def __aenter__(self) -> LoadingServer:
        self._listener = await start_listening(
            self._bound.dup(),
            self._settings,
            self._incoming,
            self._tls,
            handler=_no_session,
            process_request=self._answer,
            serve_request=_refuse,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._listener is not None:
            self._listener.close()
            with suppress(TimeoutError):  # a client that does not read its answer is not waited for
                async with asyncio.timeout(_CLOSE_S):
                    await self._listener.wait_closed()
        await self._incoming.cancel_requests()

    async def _answer(self, connection: ServerConnection, request: Request) -> Response:
        assert isinstance(connection, IncomingConnection)
        self._incoming.discard(connection, valid=True)
        if request.path.startswith(_NEEDS_MODELS):
            response = _try_again()
        else:
            response = await self._http.answer(connection, request)
        return without_body(response) if connection.head else response


def _try_again() -> Response:
    text = "expected models that are loaded, got a server that is loading them; try again"
    response = retry_later_response(text, _RETRY_S, HTTPStatus.SERVICE_UNAVAILABLE)
    response.headers["Emostream-Status"] = "loading"
    return response


async def _refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer a request with a body, and read what comes of it: cut off, a client may not see the answer."""
    try:
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(_CLOSE_S):
                writer.write(_try_again().serialize())
                if writer.can_write_eof():
                    writer.write_eof()
                while await reader.read(1 << 16):
                    pass
    finally:
        writer.close()


def _status() -> ServerStatus:
    return ServerStatus("loading", problems=(), models=None, sessions=0, connections=0, streams=())


async def _no_owner(connection: ServerConnection, request: Request) -> None:
    """Without a token too there is nothing yet that needs one."""


async def _no_session(socket: ServerConnection) -> None:
    """Not called: every upgrade is refused."""
