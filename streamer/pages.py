"""What the port answers to plain HTTP: the page, its files, and JSON about the server."""

from __future__ import annotations

from http import HTTPStatus
from importlib.resources import files
from typing import Final

from websockets.datastructures import Headers
from websockets.http11 import Response

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


def load_pages() -> dict[str, Response]:
    """Path -> answer, read once: nothing of a request's path ever reaches the file system."""
    pages = {}
    for file in files("emostream.demo").iterdir():
        suffix = "." + file.name.rpartition(".")[2]
        if suffix in _TYPES:
            pages[f"/{file.name}"] = respond(HTTPStatus.OK, _TYPES[suffix], file.read_bytes())
    pages["/"] = pages["/index.html"]
    return pages


def json_response(body: bytes, status: HTTPStatus = HTTPStatus.OK) -> Response:
    return respond(status, "application/json", body)


def text_response(status: HTTPStatus, text: str) -> Response:
    return respond(status, "text/plain; charset=utf-8", f"{text}\n".encode())


def respond(status: HTTPStatus, content_type: str, body: bytes) -> Response:
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
