"""From a connection to a first message that may be served: rate limit, origin, first message, token."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, Protocol

from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from ..clock import Clock
from ..config import ServerSettings
from ..errors import BadStartError, ProtocolError
from ..plurals import counted
from ..protocol import messages
from ..protocol.transport import close_socket
from .auth import TokenAuthenticator, bearer
from .http_exchange import RequestError
from .incoming import IncomingConnections
from .origin import OriginPolicy, single
from .rate_limit import RateLimiter, client_address
from .responses import retry_later_response

_REJECTION_S: Final = 5.0  # for an error and the closing handshake, over whatever connection


class Connected(Protocol):
    """A connection, of whatever kind."""

    @property
    def remote_address(self) -> Any: ...


@dataclass(frozen=True, slots=True)
class FirstMessage:
    """A first message that may be served. owner: the name of its token, None where none is needed. unknown:
    its fields that this protocol does not have.
    """

    message: messages.Start | messages.Subscribe
    owner: str | None
    unknown: tuple[str, ...] = ()


class Handshake:
    """incoming: all connections, for their limit."""

    def __init__(
        self,
        settings: ServerSettings,
        origins: OriginPolicy,
        clock: Clock,
        incoming: IncomingConnections,
    ) -> None:
        self._settings = settings
        self._origins = origins
        self._tokens = TokenAuthenticator.from_file(settings.token_file, clock)
        self._rate_limiter = RateLimiter(clock, settings.connections_per_minute)
        self._incoming = incoming

    def check_capacity(self, connection: Connected, request: Request) -> Response | None:
        """The HTTP answer to an upgrade for which there is no capacity; None lets it go on."""
        most = self._settings.connections_per_minute
        if wait_s := self._rate_limiter.retry_after_s(self.address(connection, request)):
            self._incoming.note_refusal()
            text = f"expected at most {counted(most, 'connection')} a minute from an address, got more"
            return retry_later_response(text, wait_s)
        most = self._settings.connections
        if self._incoming.count > most:  # this one is among them
            self._incoming.note_refusal()
            text = f"expected at most {counted(most, 'connection')} at once, got more; try again later"
            return retry_later_response(text, 5.0, HTTPStatus.SERVICE_UNAVAILABLE)
        return None

    async def authenticate_request(self, connection: Connected, request: Request) -> str | None:
        """For plain HTTP. Raises UnauthorizedError and TooManyAttemptsError."""
        token = bearer(single(request.headers, "Authorization"))
        return await self._tokens.check(token, self.address(connection, request))

    async def check_request(self, connection: Connected, request: Request) -> None:
        """For a request that costs as much as a session: host, origin, limits, token. Raises
        OriginNotAllowedError, RequestError, UnauthorizedError and TooManyAttemptsError.
        """
        host = single(request.headers, "Host")
        self._origins.check_host(host)
        self._origins.check_origin(request.headers.get_all("Origin"), host)
        refused = self.check_capacity(connection, request)
        if refused is not None:
            text, retry_after_s = (refused.body or b"").decode().strip(), int(refused.headers["Retry-After"])
            raise RequestError(HTTPStatus(refused.status_code), text, retry_after_s)
        await self.authenticate_request(connection, request)

    async def receive_first_message(self, socket: ServerConnection) -> FirstMessage:
        """Raises OriginNotAllowedError, BadStartError, UnauthorizedError, TooManyAttemptsError and
        ConnectionClosed.
        """
        headers = Headers() if socket.request is None else socket.request.headers
        host = single(headers, "Host")
        self._origins.check_host(host)
        self._origins.check_origin(headers.get_all("Origin"), host)
        _check_subprotocol(socket, headers)
        text = await self._receive(socket)
        try:
            first = messages.decode_client_message(text)
        except ProtocolError as error:
            raise BadStartError(str(error)) from error
        if not isinstance(first, messages.Start | messages.Subscribe):
            raise BadStartError(
                f"expected start or subscribe as the first message, got {type(first).__name__.lower()}"
            )
        token = first.token or bearer(single(headers, "Authorization"))
        owner = await self._tokens.check(token, self.address(socket, socket.request))
        return FirstMessage(first, owner, messages.unknown_fields(text, first))

    async def _receive(self, socket: ServerConnection) -> str:
        limit_ms = self._settings.start_timeout_ms
        try:
            async with asyncio.timeout(limit_ms / 1_000):
                message = await socket.recv()
        except TimeoutError:
            raise BadStartError(f"expected start or subscribe within {limit_ms} ms, got nothing") from None
        if isinstance(message, bytes):
            raise BadStartError(
                "expected start or subscribe as the first message, got audio; send start first"
            )
        return message

    def address(self, connection: Connected, request: Request | None) -> str:
        """Of the client: what the rate limits count by."""
        if self._settings.trust_proxy_headers and request is not None:
            forwarded = request.headers.get_all("X-Forwarded-For")
            if forwarded:  # the proxy wrote the last entry, the client may have written those before it
                return client_address((forwarded[-1].rpartition(",")[2].strip(),))
        return client_address(connection.remote_address)


def select_subprotocol(connection: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    """A client that offers none is taken as version 1."""
    version_1 = Subprotocol(messages.SUBPROTOCOL)
    return version_1 if version_1 in offered else None


def _check_subprotocol(socket: ServerConnection, headers: Headers) -> None:
    """Raises BadStartError where the client offers others, but not this one."""
    offered = headers.get_all("Sec-WebSocket-Protocol")
    if offered and socket.subprotocol is None:
        shown = ", ".join(offered)[:80]
        raise BadStartError(f"expected subprotocol {messages.SUBPROTOCOL}, got {shown}; offer it, or none")


async def reject(
    socket: ServerConnection, code: str, message: str, close_code: int, retry_after_ms: int | None = None
) -> None:
    """Send an `error`, then close: a browser shows its page nothing of a failed handshake."""
    error = messages.Error(code=code, message=message, fatal=True, retry_after_ms=retry_after_ms)
    try:
        async with asyncio.timeout(_REJECTION_S):  # a client that does not read is not waited for
            await socket.send(messages.encode(error))
            await close_socket(socket, close_code)
    except ConnectionClosed:
        return
    except TimeoutError:
        socket.transport.abort()
