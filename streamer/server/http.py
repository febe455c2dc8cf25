"""What the port answers to plain HTTP: the page, its files, JSON about the server, and its counters."""

from __future__ import annotations

import math
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from importlib.metadata import version
from importlib.resources import files
from types import MappingProxyType
from typing import Final, Literal
from urllib.parse import parse_qs, unquote

import msgspec
from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from ..errors import EmostreamError, OriginNotAllowedError, UnauthorizedError
from ..inference.metrics import CONTENT_TYPE
from ..protocol import messages
from ..protocol.asyncapi import asyncapi
from .origin import OriginPolicy, single
from .published_stream import PublishedStream

_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".ts": "text/plain; charset=utf-8",  # declarations: there is no registered type
    ".svg": "image/svg+xml",
    ".ogg": "audio/ogg",
}

# The page needs itself and its own socket, and nothing from anywhere else.
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


_AUDIO_PATH: Final = re.compile(r"/v1/streams/([^/]+)/audio")


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """What the server says about itself. trouble: for people, what is wrong with the models at present."""

    status: Literal["ok", "warming", "failing", "closing"]
    trouble: tuple[str, ...]
    models: messages.Models
    sessions: int
    connections: int
    streams: tuple[PublishedStream, ...]


class HttpHandler:
    """facts, metrics: asked anew for every answer. check: raises where a request's token does not let it
    in.
    """

    def __init__(
        self,
        door: OriginPolicy,
        facts: Callable[[], ServerStatus],
        metrics: Callable[[], bytes],
        check: Callable[[ServerConnection, Request], Awaitable[object]],
    ) -> None:
        self._door = door
        self._check = check
        self._facts = facts
        self._metrics = metrics
        # Read once: nothing of a request's path ever reaches the file system.
        self._files = _load_files()

    async def answer(self, connection: ServerConnection, request: Request) -> Response | None:
        """None lets the socket's handshake go on: it is refused, where it must be, behind that, since a
        browser cannot see why an upgrade failed.
        """
        path, _, query = request.path.partition("?")
        if path == "/v1/stream":
            return None
        try:
            self._door.check_host(single(request.headers, "Host"))
        except OriginNotAllowedError as error:
            return _text(HTTPStatus.FORBIDDEN, str(error))
        if path in self._files:
            return self._files[path]
        match path:
            case "/healthz":
                facts = self._facts()
                fit = facts.status == "ok"
                return _json(_health(facts), HTTPStatus.OK if fit else HTTPStatus.SERVICE_UNAVAILABLE)
            case "/v1/schema.json":
                return _json(messages.schema())
            case "/v1/asyncapi.json":
                return _json(asyncapi())
        try:
            await self._check(connection, request)
        except UnauthorizedError as error:
            return _text(HTTPStatus.UNAUTHORIZED, str(error), {"WWW-Authenticate": "Bearer"})
        except EmostreamError as error:
            return retry_later_response(str(error), (error.retry_after_ms or 0) / 1_000)
        match path:
            case "/metrics":
                return _respond(HTTPStatus.OK, CONTENT_TYPE, self._metrics())
            case "/v1/streams":
                return _json(_streams(self._facts()))
        if found := _AUDIO_PATH.fullmatch(path):
            return _audio(self._facts(), unquote(found[1]), query)
        return _text(HTTPStatus.NOT_FOUND, f"expected a page of this server, {path} is none; try /")


def _health(facts: ServerStatus) -> dict[str, object]:
    return {
        "status": facts.status,
        "trouble": facts.trouble,
        "version": version("emostream"),
        "models": facts.models,
        "sessions": facts.sessions,
        "connections": facts.connections,
    }


def _streams(facts: ServerStatus) -> dict[str, object]:
    return {
        "streams": [
            {
                "name": stream.name,
                "title": stream.title,
                "note": stream.note,
                "session": stream.event_log.session,
                "audio_ms": 0 if stream.audio is None else stream.audio.capacity_ms,
            }
            for stream in facts.streams
        ]
    }


def _audio(facts: ServerStatus, name: str, query: str) -> Response:
    """What is kept of a stream, as WAV; `Emostream-From-Ms` says where on its clock it begins."""
    stream = next((stream for stream in facts.streams if stream.name == name), None)
    if stream is None or stream.audio is None:
        return _text(HTTPStatus.NOT_FOUND, "expected a stream that keeps its sound, see /v1/streams")
    asked = parse_qs(query)
    try:
        from_ms, to_ms = (int(asked[name][-1]) for name in ("from_ms", "to_ms"))
    except (KeyError, ValueError):
        return _text(HTTPStatus.BAD_REQUEST, "expected from_ms and to_ms, milliseconds of the stream's clock")
    found = stream.audio.wav(from_ms, to_ms)
    if found is None:
        return _respond(HTTPStatus.NO_CONTENT, "audio/wav", b"")
    begins_ms, wav = found
    response = _respond(HTTPStatus.OK, "audio/wav", wav)
    response.headers["Emostream-From-Ms"] = str(begins_ms)
    del response.headers["Cache-Control"]
    response.headers["Cache-Control"] = "no-store"  # somebody's voice
    return response


def _load_files() -> dict[str, Response]:
    """Path -> answer."""
    pages = {}
    for file in files("emostream.demo").iterdir():
        suffix = "." + file.name.rpartition(".")[2]
        if suffix in _TYPES:
            pages[f"/{file.name}"] = _respond(HTTPStatus.OK, _TYPES[suffix], file.read_bytes())
    pages["/"] = pages["/index.html"]
    return pages


def retry_later_response(
    text: str, retry_after_s: float, status: HTTPStatus = HTTPStatus.TOO_MANY_REQUESTS
) -> Response:
    return _text(status, text, {"Retry-After": str(max(1, math.ceil(retry_after_s)))})


def _json(content: object, status: HTTPStatus = HTTPStatus.OK) -> Response:
    return _respond(status, "application/json", msgspec.json.encode(content))


def _text(status: HTTPStatus, text: str, further: Mapping[str, str] = MappingProxyType({})) -> Response:
    response = _respond(status, "text/plain; charset=utf-8", f"{text}\n".encode())
    response.headers.update(further)
    return response


def _respond(status: HTTPStatus, content_type: str, body: bytes) -> Response:
    headers = Headers(
        {
            "Content-Type": content_type,
            "Content-Length": str(len(body)),
            "Content-Security-Policy": _POLICY,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Cache-Control": "no-cache",
            "Connection": "close",
        }
    )
    return Response(status.value, status.phrase, headers, body)
