"""Errors in the shape of OpenAI's interface, which its clients turn into exceptions."""

from __future__ import annotations

import math
from http import HTTPStatus
from typing import Final

from websockets.http11 import Response

from ...errors import (
    ConfigError,
    EmostreamError,
    OriginNotAllowedError,
    OverloadedError,
    SourceError,
    TooManyAttemptsError,
    UnauthorizedError,
)
from ..http_exchange import RequestError
from ..responses import json_response
from .transcription_request import FieldError

_STATUS: Final[dict[type[EmostreamError], HTTPStatus]] = {
    SourceError: HTTPStatus.BAD_REQUEST,
    ConfigError: HTTPStatus.BAD_REQUEST,
    UnauthorizedError: HTTPStatus.UNAUTHORIZED,
    OriginNotAllowedError: HTTPStatus.FORBIDDEN,
    TooManyAttemptsError: HTTPStatus.TOO_MANY_REQUESTS,
    OverloadedError: HTTPStatus.SERVICE_UNAVAILABLE,
}
_CODES: Final = {
    HTTPStatus.UNAUTHORIZED: "invalid_api_key",
    HTTPStatus.TOO_MANY_REQUESTS: "rate_limit_exceeded",
}
_KEPT_HEADERS: Final = ("Allow", "Retry-After", "WWW-Authenticate")


def error_body(
    status: HTTPStatus, message: str, code: str | None = None, param: str | None = None
) -> dict[str, object]:
    kind = "server_error" if status >= 500 else "invalid_request_error"
    if status is HTTPStatus.TOO_MANY_REQUESTS:
        kind = "rate_limit_error"
    code = code or _CODES.get(status)
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def error_response(error: EmostreamError | RequestError) -> Response:
    """The answer to a request that failed so."""
    if isinstance(error, RequestError):
        param = error.field if isinstance(error, FieldError) else None
        code = "model_not_found" if param == "model" else None
        response = json_response(error_body(error.status, str(error), code, param), error.status)
        if error.retry_after_s is not None:
            response.headers["Retry-After"] = str(error.retry_after_s)
        return response
    status = next(
        (status for kind, status in _STATUS.items() if isinstance(error, kind)),
        HTTPStatus.INTERNAL_SERVER_ERROR,
    )
    param = "file" if isinstance(error, SourceError) else None
    response = json_response(error_body(status, str(error), str(error.code), param), status)
    if error.retry_after_ms is not None:
        response.headers["Retry-After"] = str(math.ceil(error.retry_after_ms / 1_000))
    if status is HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def as_openai_error(response: Response) -> Response:
    """An answer of plain text, in this shape."""
    status = HTTPStatus(response.status_code)
    shaped = json_response(error_body(status, (response.body or b"").decode().strip()), status)
    for name in _KEPT_HEADERS:
        if name in response.headers:
            shaped.headers[name] = response.headers[name]
    return shaped
