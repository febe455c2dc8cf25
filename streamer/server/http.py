"""Plain HTTP on the server's port: the page and its files, JSON about the server, metrics."""

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
from ..protocol.schema import schema
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

# The page loads only its own files and connects only to its own server.
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


STREAM_PATH: Final = "/v1/stream"
_AUDIO_PATH: Final = re.compile(r"/v1/streams/([^/]+)/audio")


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """What the server reports about itself. problems: what is wrong with the models, for people."""

    status: Literal["ok", "warming", "failing", "closing"]
    problems: tuple[str, ...]
    models: messages.Models
    sessions: int
    connections: int
    streams: tuple[PublishedStream, ...]


class HttpHandler:
    """status, metrics: called for every answer. authenticate: raises where a request has no valid token."""

    def __init__(
        self,
        origins: OriginPolicy,
        status: Callable[[], ServerStatus],
        metrics: Callable[[], bytes],
        authenticate: Callable[[ServerConnection, Request], Awaitable[object]],
    ) -> None:
        self._origins = origins
        self._authenticate = authenticate
        self._status = status
        self._metrics = metrics
        self._files = _load_files()

    async def answer(self, connection: ServerConnection, request: Request) -> Response:
        path, _, query = request.path.partition("?")
        try:
            self._origins.check_host(single(request.headers, "Host"))
        except OriginNotAllowedError as error:
            return _text(HTTPStatus.FORBIDDEN, str(error))
        if path in self._files:
            return self._files[path]
        match path:
            case "/healthz":
                status = self._status()
                healthy = status.status == "ok"
                return _json(_health(status), HTTPStatus.OK if healthy else HTTPStatus.SERVICE_UNAVAILABLE)
            case "/v1/schema.json":
                return _json(schema())
            case "/v1/asyncapi.json":
                return _json(asyncapi())
        try:
            await self._authenticate(connection, request)
        except UnauthorizedError as error:
            return _text(HTTPStatus.UNAUTHORIZED, str(error), {"WWW-Authenticate": "Bearer"})
        except EmostreamError as error:
            return retry_later_response(str(error), (error.retry_after_ms or 0) / 1_000)
        match path:
            case "/metrics":
                return _respond(HTTPStatus.OK, CONTENT_TYPE, self._metrics())
            case "/v1/streams":
                return _json(_streams(self._status()))
        if found := _AUDIO_PATH.fullmatch(path):
            return _audio(self._status(), unquote(found[1]), query)
        return _text(HTTPStatus.NOT_FOUND, f"expected a page of this server, {path} is none; try /")


def _health(status: ServerStatus) -> dict[str, object]:
    return {
        "status": status.status,
        "problems": status.problems,
        "version": version("emostream"),
        "models": status.models,
        "sessions": status.sessions,
        "connections": status.connections,
    }


def _streams(status: ServerStatus) -> dict[str, object]:
    return {
        "streams": [
            {
                "name": stream.name,
                "title": stream.title,
                "note": stream.note,
                "session": stream.event_log.session,
                "audio_ms": 0 if stream.audio is None else stream.audio.capacity_ms,
            }
            for stream in status.streams
        ]
    }


def _audio(status: ServerStatus, name: str, query: str) -> Response:
    """The buffered audio of a stream, as WAV; `Emostream-From-Ms` is where it begins on its clock."""
    stream = next((stream for stream in status.streams if stream.name == name), None)
    if stream is None or stream.audio is None:
        return _text(HTTPStatus.NOT_FOUND, "expected a stream whose audio is buffered, see /v1/streams")
    parameters = parse_qs(query)
    try:
        from_ms, to_ms = (int(parameters[name][-1]) for name in ("from_ms", "to_ms"))
    except (KeyError, ValueError):
        return _text(HTTPStatus.BAD_REQUEST, "expected from_ms and to_ms, milliseconds of the stream's clock")
    found = stream.audio.wav(from_ms, to_ms)
    if found is None:
        return _respond(HTTPStatus.NO_CONTENT, "audio/wav", b"")
    begins_ms, wav = found
    response = _respond(HTTPStatus.OK, "audio/wav", wav)
    response.headers["Emostream-From-Ms"] = str(begins_ms)
    del response.headers["Cache-Control"]
    response.headers["Cache-Control"] = "no-store"  # a person's voice
    return response


def _load_files() -> dict[str, Response]:
    """Path -> response, read once: nothing of a request's path reaches the file system."""
    pages = {}
    for file in files("emostream.demo").iterdir():
        suffix = "." + file.name.rpartition(".")[2]
        if suffix in _TYPES:
            pages[f"/{file.name}"] = _respond(HTTPStatus.OK, _TYPES[suffix], file.read_bytes())
    pages["/"] = pages["/index.html"]
    return pages


def method_not_allowed(method: str) -> Response:
    text = f"expected GET, got {method}; audio goes over the websocket at {STREAM_PATH}"
    return _text(HTTPStatus.METHOD_NOT_ALLOWED, text, {"Allow": "GET, HEAD"})


def without_body(response: Response) -> Response:
    """The answer to a HEAD: the same header fields."""
    return Response(response.status_code, response.reason_phrase, response.headers, b"")


def retry_later_response(
    text: str, retry_after_s: float, status: HTTPStatus = HTTPStatus.TOO_MANY_REQUESTS
) -> Response:
    return _text(status, text, {"Retry-After": str(max(1, math.ceil(retry_after_s)))})


def _json(content: object, status: HTTPStatus = HTTPStatus.OK) -> Response:
    return _respond(status, "application/json", msgspec.json.encode(content))


def _text(status: HTTPStatus, text: str, more_headers: Mapping[str, str] = MappingProxyType({})) -> Response:
    response = _respond(status, "text/plain; charset=utf-8", f"{text}\n".encode())
    response.headers.update(more_headers)
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
