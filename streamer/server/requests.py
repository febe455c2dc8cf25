"""Requests with other methods than GET and HEAD, each on a connection that websockets has no part in."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Final

from .http_exchange import ClientGoneError, HttpExchange, RequestError
from .openai.endpoint import TranscriptionEndpoint
from .openai.errors import as_openai_error
from .openai.models import TRANSCRIPTIONS_PATH, UNSUPPORTED, is_openai_path
from .responses import method_not_allowed, text_response

_IDLE_S: Final = 20.0
"""A client that sends nothing for so long in the middle of its request is given up."""

_HEAD_S: Final = 10.0


class RequestServer:
    """Answers one request of a connection, and closes it."""

    def __init__(self, transcriptions: TranscriptionEndpoint) -> None:
        self._transcriptions = transcriptions

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        exchange = HttpExchange(reader, writer, _IDLE_S)
        try:
            await self._answer(exchange)
        except ClientGoneError:
            pass  # there is no client left to answer
        finally:
            await exchange.close()

    async def _answer(self, exchange: HttpExchange) -> None:
        try:
            async with asyncio.timeout(_HEAD_S):
                request = await exchange.head()
        except RequestError as error:
            await exchange.respond(text_response(error.status, str(error)))
            return
        except TimeoutError:
            text = f"expected the head of the request within {_HEAD_S:g} s, got a part of it; send it again"
            await exchange.respond(text_response(HTTPStatus.REQUEST_TIMEOUT, text))
            return
        path = request.path.partition("?")[0]
        if (exchange.method, path) == ("POST", TRANSCRIPTIONS_PATH):
            await self._transcriptions.serve(exchange, request)
        elif exchange.method == "POST" and path.startswith(UNSUPPORTED):
            text = f"expected POST for {TRANSCRIPTIONS_PATH} alone, got {path[:80]}"
            await exchange.respond(as_openai_error(text_response(HTTPStatus.NOT_FOUND, text)))
        else:
            allowed = "POST" if path == TRANSCRIPTIONS_PATH else "GET, HEAD"
            response = method_not_allowed(exchange.method, allowed)
            await exchange.respond(as_openai_error(response) if is_openai_path(path) else response)
