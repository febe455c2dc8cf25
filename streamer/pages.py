"""What the port answers to plain HTTP: the page, its files, JSON about the server, and its counters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from importlib.metadata import version
from importlib.resources import files
from typing import Final

import msgspec
from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from . import events
from .door import Door
from .errors import ForeignOriginError
from .metrics import CONTENT_TYPE
from .watching import OwnStream

_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".ogg": "audio/ogg",
}

# The page needs itself and its own socket, and nothing from anywhere else.
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@dataclass(frozen=True, slots=True)
class Facts:
    """What the server says about itself."""

    status: str
    models: events.Models
    sessions: int
    connections: int
    streams: tuple[OwnStream, ...]


class Pages:
    """facts, metrics: asked anew for every answer."""

    def __init__(self, door: Door, facts: Callable[[], Facts], metrics: Callable[[], bytes]) -> None:
        self._door = door
        self._facts = facts
        self._metrics = metrics
        # Read once: nothing of a request's path ever reaches the file system.
        self._files = _load_files()

    def answer(self, connection: ServerConnection, request: Request) -> Response | None:
        """None lets the socket's handshake go on: it is refused, where it must be, behind that, since a
        browser cannot see why an upgrade failed.
        """
        path = request.path.partition("?")[0]
        if path == "/v1/stream":
            return None
        try:
            self._door.check_host(request.headers.get("Host"))
        except ForeignOriginError as error:
            return _text(HTTPStatus.FORBIDDEN, str(error))
        if path in self._files:
            return self._files[path]
        match path:
            case "/healthz":
                return _json(_health(self._facts()))
            case "/metrics":
                return _respond(HTTPStatus.OK, CONTENT_TYPE, self._metrics())
            case "/v1/streams":
                return _json(_streams(self._facts()))
            case "/v1/schema.json":
                return _json(events.schema())
        return _text(HTTPStatus.NOT_FOUND, f"expected a page of this server, {path} is none; try /")


def _health(facts: Facts) -> dict[str, object]:
    return {
        "status": facts.status,
        "version": version("emostream"),
        "models": facts.models,
        "sessions": facts.sessions,
        "connections": facts.connections,
    }


def _streams(facts: Facts) -> dict[str, object]:
    return {
        "streams": [
            {"name": stream.name, "title": stream.title, "note": stream.note} for stream in facts.streams
        ]
    }


def _load_files() -> dict[str, Response]:
    """Path -> answer."""
    pages = {}
    for file in files("emostream.demo").iterdir():
        suffix = "." + file.name.rpartition(".")[2]
        if suffix in _TYPES:
            pages[f"/{file.name}"] = _respond(HTTPStatus.OK, _TYPES[suffix], file.read_bytes())
    pages["/"] = pages["/index.html"]
    return pages


def _json(content: object) -> Response:
    return _respond(HTTPStatus.OK, "application/json", msgspec.json.encode(content))


def _text(status: HTTPStatus, text: str) -> Response:
    return _respond(status, "text/plain; charset=utf-8", f"{text}\n".encode())


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
