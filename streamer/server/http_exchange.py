"""One HTTP request with a body, and its answer, over asyncio's streams. h11 reads and writes HTTP/1.1.

The connection is closed after it, as after every plain request to this port.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from email.utils import formatdate
from http import HTTPStatus
from typing import Final

import h11
from websockets.datastructures import Headers
from websockets.exceptions import InvalidHeader
from websockets.http11 import Request, Response

_READ_BYTES: Final = 1 << 16
_HEAD_BYTES: Final = 1 << 14
_DRAIN_S: Final = 5.0
"""How long an answered client may go on sending: until it has read the answer."""


class RequestError(Exception):
    """A request that cannot be served: the message is for the client."""

    def __init__(self, status: HTTPStatus, message: str, retry_after_s: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after_s = retry_after_s


class ClientGoneError(Exception):
    """The client has closed the connection: there is no one to answer."""


class HttpExchange:
    """idle_s: how long a client may send nothing of its request, or read nothing of its answer."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, idle_s: float) -> None:
        self._reader = reader
        self._writer = writer
        self._idle_s = idle_s
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=_HEAD_BYTES)
        self.method = ""

    @property
    def remote_address(self) -> object:
        return self._writer.get_extra_info("peername")

    @property
    def answered(self) -> bool:
        """Whether an answer has begun."""
        return self._h11.our_state is not h11.IDLE and self._h11.our_state is not h11.SEND_RESPONSE

    async def head(self) -> Request:
        """The request without its body. Raises RequestError and ClientGoneError."""
        event = await self._next_event()
        assert isinstance(event, h11.Request)
        self.method = event.method.decode("ascii")
        try:
            headers = Headers(
                [(name.decode("latin-1"), value.decode("latin-1")) for name, value in event.headers]
            )
        except InvalidHeader as error:  # h11 takes control characters
            text = f"expected printable letters in headers, got others in {error.name}; correct it"
            raise RequestError(HTTPStatus.BAD_REQUEST, text) from error
        return Request(event.target.decode("latin-1"), headers)

    async def body(self) -> AsyncIterator[bytes]:
        """Asks for it first where the client waits for that (`Expect: 100-continue`). Raises RequestError and
        ClientGoneError.
        """
        if self._h11.they_are_waiting_for_100_continue:
            await self._send(h11.InformationalResponse(status_code=100, headers=[], reason=b"Continue"))
        while True:
            event = await self._next_event()
            if isinstance(event, h11.EndOfMessage):
                return
            assert isinstance(event, h11.Data)
            yield bytes(event.data)

    async def _next_event(self) -> object:
        while True:
            try:
                event = self._h11.next_event()
            except h11.RemoteProtocolError as error:
                status = HTTPStatus(error.error_status_hint)
                raise RequestError(
                    status, f"expected a request in HTTP/1.1, got: {error}; correct it"
                ) from error
            if event is not h11.NEED_DATA:
                if isinstance(event, h11.ConnectionClosed):
                    raise ClientGoneError
                return event
            try:
                async with asyncio.timeout(self._idle_s):
                    data = await self._reader.read(_READ_BYTES)
            except TimeoutError:
                raise RequestError(
                    HTTPStatus.REQUEST_TIMEOUT,
                    f"expected the rest of the request within {self._idle_s:g} s, got nothing; send it again",
                ) from None
            except ConnectionError as error:
                raise ClientGoneError from error
            if not data:
                raise ClientGoneError
            self._h11.receive_data(data)

    async def respond(self, response: Response) -> None:
        """Send a whole answer. Raises ClientGoneError."""
        await self.begin(response)
        await self.send(response.body or b"")
        await self.finish()

    async def begin(self, response: Response) -> None:
        """Send the head of an answer; without a `Content-Length` its body is sent piece by piece."""
        headers = [*response.headers.raw_items(), ("Date", formatdate(usegmt=True))]
        reason = response.reason_phrase.encode("latin-1")
        await self._send(h11.Response(status_code=response.status_code, reason=reason, headers=headers))

    async def send(self, data: bytes | bytearray) -> None:
        """A part of the body."""
        await self._send(h11.Data(data=bytes(data)))

    async def finish(self) -> None:
        await self._send(h11.EndOfMessage())

    async def _send(self, event: h11.Event) -> None:
        data = self._h11.send(event)
        self._writer.write(data or b"")
        try:
            async with asyncio.timeout(self._idle_s):
                await self._writer.drain()
        except TimeoutError as error:  # it does not read
            self._writer.transport.abort()
            raise ClientGoneError from error
        except ConnectionError as error:
            raise ClientGoneError from error

    async def gone(self) -> None:
        """Return when the client closes the connection; what it still sends is dropped."""
        try:
            while await self._reader.read(_READ_BYTES):
                pass
        except ConnectionError:
            return

    async def close(self) -> None:
        """After the answer: a client that is still sending is read to its end, for a while, since a reset
        would take the answer from it.
        """
        try:
            if self.answered and self._writer.can_write_eof():
                self._writer.write_eof()
                async with asyncio.timeout(_DRAIN_S):
                    await self.gone()
        except (TimeoutError, OSError):
            pass
        finally:
            self._writer.close()
