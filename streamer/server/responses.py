"""Answers to plain HTTP requests, with the headers that all of them have."""

from __future__ import annotations

import math
from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Final

import msgspec
from websockets.datastructures import Headers
from websockets.http11 import Response

STREAM_PATH: Final = "/v1/stream"

# The page loads only its own files and connects only to its own server.
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def method_not_allowed(method: str, allowed: str = "GET, HEAD") -> Response:
    """allowed: the methods that this path takes."""
    text = f"expected {allowed.partition(',')[0]}, got {method}"
    if allowed != "POST":
        text += f"; audio goes over the websocket at {STREAM_PATH}"
    return text_response(HTTPStatus.METHOD_NOT_ALLOWED, text, {"Allow": allowed})


def without_body(response: Response) -> Response:
    """The answer to a HEAD: the same header fields."""
    return Response(response.status_code, response.reason_phrase, response.headers, b"")


def retry_later_response(
    text: str, retry_after_s: float, status: HTTPStatus = HTTPStatus.TOO_MANY_REQUESTS
) -> Response:
    return text_response(status, text, {"Retry-After": str(max(1, math.ceil(retry_after_s)))})


def json_response(content: object, status: HTTPStatus = HTTPStatus.OK) -> Response:
    return http_response(status, "application/json", msgspec.json.encode(content))


def text_response(
    status: HTTPStatus, text: str, more_headers: Mapping[str, str] = MappingProxyType({})
) -> Response:
    response = http_response(status, "text/plain; charset=utf-8", f"{text}\n".encode())
    response.headers.update(more_headers)
    return response


def http_response(status: HTTPStatus, content_type: str, body: bytes) -> Response:
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
