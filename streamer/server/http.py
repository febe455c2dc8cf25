"""Plain HTTP on the server's port: the page and its files, JSON about the server, metrics."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from importlib.metadata import version
from importlib.resources import files
from typing import Final, Literal
from urllib.parse import parse_qs, unquote

from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

from ..errors import EmostreamError, OriginNotAllowedError, UnauthorizedError
from ..inference.metrics import CONTENT_TYPE
from ..protocol import messages
from ..protocol.asyncapi import asyncapi
from ..protocol.schema import schema
from .openai.errors import as_openai_error
from .openai.models import MODELS_PATH, TRANSCRIPTIONS_PATH, is_openai_path, models_response
from .origin import OriginPolicy, single
from .published_stream import PublishedStream
from .responses import http_response, json_response, method_not_allowed, retry_later_response, text_response

_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".ts": "text/plain; charset=utf-8",  # declarations: there is no registered type
    ".svg": "image/svg+xml",
    ".ogg": "audio/ogg",
}

_AUDIO_PATH: Final = re.compile(r"/v1/streams/([^/]+)/audio")


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """What the server reports about itself. problems: what is wrong with the models, for people. models: None
    while they load.
    """

    status: Literal["ok", "loading", "warming", "failing", "closing"]
    problems: tuple[str, ...]
    models: messages.Models | None
    sessions: int
    connections: int
    streams: tuple[PublishedStream, ...]


class HttpHandler:
    """status, metrics: called for every answer. authenticate: raises where a request has no valid token.
    started_at: in seconds since 1970.
    """

    def __init__(
        self,
        origins: OriginPolicy,
        status: Callable[[], ServerStatus],
        metrics: Callable[[], bytes],
        authenticate: Callable[[ServerConnection, Request], Awaitable[object]],
        started_at: int,
    ) -> None:
        self._started_at = started_at
        self._origins = origins
        self._authenticate = authenticate
        self._status = status
        self._metrics = metrics
        self._files = _load_files()

    async def answer(self, connection: ServerConnection, request: Request) -> Response:
        path, _, query = request.path.partition("?")
        response = await self._answer(connection, request, path, query)
        failed = response.status_code >= HTTPStatus.BAD_REQUEST
        return as_openai_error(response) if failed and is_openai_path(path) else response

    async def _answer(
        self, connection: ServerConnection, request: Request, path: str, query: str
    ) -> Response:
        try:
            self._origins.check_host(single(request.headers, "Host"))
        except OriginNotAllowedError as error:
            return text_response(HTTPStatus.FORBIDDEN, str(error))
        if path in self._files:
            return self._files[path]
        match path:
            case "/healthz":
                status = self._status()
                healthy = status.status == "ok"
                return json_response(
                    _health(status), HTTPStatus.OK if healthy else HTTPStatus.SERVICE_UNAVAILABLE
                )
            case "/v1/schema.json":
                return json_response(schema())
            case "/v1/asyncapi.json":
                return json_response(asyncapi())
        try:
            await self._authenticate(connection, request)
        except UnauthorizedError as error:
            return text_response(HTTPStatus.UNAUTHORIZED, str(error), {"WWW-Authenticate": "Bearer"})
        except EmostreamError as error:
            return retry_later_response(str(error), (error.retry_after_ms or 0) / 1_000)
        match path:
            case "/metrics":
                return http_response(HTTPStatus.OK, CONTENT_TYPE, self._metrics())
            case "/v1/streams":
                return json_response(_streams(self._status()))
            case _ if path == TRANSCRIPTIONS_PATH:
                return method_not_allowed("GET", "POST")
        if is_openai_path(path) and path.startswith(MODELS_PATH):
            models = self._status().models
            names = () if models is None else (models.asr, models.emotion)
            behind = [name for name in names if name is not None]
            return models_response(path, self._started_at, behind)
        if found := _AUDIO_PATH.fullmatch(path):
            return _audio(self._status(), unquote(found[1]), query)
        return text_response(HTTPStatus.NOT_FOUND, f"expected a page of this server, {path} is none; try /")


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
        return text_response(
            HTTPStatus.NOT_FOUND, "expected a stream whose audio is buffered, see /v1/streams"
        )
    parameters = parse_qs(query)
    try:
        from_ms, to_ms = (int(parameters[name][-1]) for name in ("from_ms", "to_ms"))
    except (KeyError, ValueError):
        return text_response(
            HTTPStatus.BAD_REQUEST, "expected from_ms and to_ms, milliseconds of the stream's clock"
        )
    found = stream.audio.wav(from_ms, to_ms)
    if found is None:
        return http_response(HTTPStatus.NO_CONTENT, "audio/wav", b"")
    begins_ms, wav = found
    response = http_response(HTTPStatus.OK, "audio/wav", wav)
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
            pages[f"/{file.name}"] = http_response(HTTPStatus.OK, _TYPES[suffix], file.read_bytes())
    pages["/"], pages["/overlay"] = pages["/index.html"], pages["/overlay.html"]
    return pages
