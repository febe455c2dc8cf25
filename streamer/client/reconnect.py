"""Opening a connection, and opening it again when it breaks: one loop for sessions and for subscribers."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from ssl import SSLContext
from typing import Any, Final, TypeVar

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as connect_socket
from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.typing import Subprotocol

from ..errors import ConnectError
from ..plurals import counted
from ..protocol import messages
from ..protocol.close_codes import FATAL
from ..protocol.transport import send_message

_READY_TIMEOUT_S: Final = 10.0
ENDPOINT: Final = "/v1/stream"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Retry:
    """How a broken connection is opened again: exponential backoff with jitter.

    attempts: in a row, 0 is never. The pauses double from `first_s` to `longest_s`, each of them drawn
    between half and all of that.
    """

    attempts: int = 10
    first_s: float = 0.25
    longest_s: float = 10.0

    def pause_s(self, attempt: int) -> float:
        """attempt: 0 for the first one."""
        return min(self.longest_s, self.first_s * 2.0 ** min(attempt, 30)) * random.uniform(0.5, 1.0)


@dataclass(frozen=True, slots=True)
class ConnectionLost:
    """The connection broke, or the server shuts down; `Reconnected` follows, or ConnectError is raised."""

    reason: str


@dataclass(frozen=True, slots=True)
class Reconnected:
    """The connection broke, and another one is open.

    resumed: the session goes on, and only the events from `lost_from_seq` on are lost, if there are any.
    Otherwise it is a fresh one, as after a restart of the server: its clock begins at `clock_start_ms` of the
    one before, with the utterance that had no final, which it hears from its beginning. missing_from_ms:
    None; only where the server does not tell what it has committed, the end of its last final: what it had
    received after that is lost. reason: why the connection ended.
    """

    resumed: bool
    session: str
    lost_from_seq: int | None
    missing_from_ms: int | None
    clock_start_ms: int
    reason: str


ClientEvent = messages.ServerEvent | ConnectionLost | Reconnected


class RetryLaterError(Exception):
    """The server does not answer, or has no capacity at present."""

    def __init__(self, message: str, after_s: float = 0.0) -> None:
        super().__init__(message)
        self.after_s = after_s


class ReconnectLoop:
    """Tries to connect again until it works, is hopeless, or the attempts are used up."""

    def __init__(self, retry: Retry) -> None:
        self._retry = retry
        self._attempts = 0  # since `reset`

    def reset(self) -> None:
        """The server has answered: the next break begins with the first pause again."""
        self._attempts = 0

    async def reconnect(self, closed: ConnectionClosed, connect_again: Callable[[str], Awaitable[T]]) -> T:
        """What `connect_again` returns, which gets the reason for the reconnection.

        Raises ConnectError where the close code is fatal or no attempt is left.
        """
        reason = describe_close(closed)
        raise_if_fatal(closed)
        wait_s = 0.0
        while self._attempts < self._retry.attempts:
            await asyncio.sleep(max(wait_s, self._retry.pause_s(self._attempts)))
            self._attempts += 1
            try:
                return await connect_again(reason)
            except RetryLaterError as error:
                wait_s, reason = error.after_s, str(error)
            except ConnectionClosed as error:
                raise_if_fatal(error)
                reason = describe_close(error)
        tried = (
            f"; tried {counted(self._retry.attempts, 'time')} to reconnect" if self._retry.attempts else ""
        )
        raise ConnectError(f"expected `closed` as the last event, {reason}{tried}") from closed


async def open_first(
    url: str, first: messages.Start | messages.Subscribe, ssl: SSLContext | None
) -> tuple[ClientConnection, messages.Ready]:
    """The first connection, tried once. Raises ConnectError."""
    try:
        return await open_connection(url, first, ssl)
    except ConnectionClosed as error:
        raise ConnectError(f"expected `ready`, {describe_close(error)}") from error
    except RetryLaterError as error:
        raise ConnectError(str(error)) from error


async def open_connection(
    url: str, first: messages.Start | messages.Subscribe, ssl: SSLContext | None
) -> tuple[ClientConnection, messages.Ready]:
    """A socket whose first message the server has accepted.

    Raises ConnectError, ConnectionClosed, and RetryLaterError where a later try may work.
    """
    socket = await _open_socket(url, ssl)
    try:
        async with asyncio.timeout(_READY_TIMEOUT_S):
            await send_message(socket, messages.encode(first))
            answer = messages.decode_server_message(await socket.recv())
    except TimeoutError:
        await socket.close()
        raise RetryLaterError(
            f"expected `ready` within {_READY_TIMEOUT_S:g} s, got nothing; is this an emostream server?"
        ) from None
    except BaseException:
        socket.transport.abort()  # no caller has it
        raise
    if isinstance(answer, messages.Ready):
        return socket, answer
    await socket.close()
    if not isinstance(answer, messages.Error):
        raise ConnectError(f"expected `ready` as the first event, got {type(answer).__name__}")
    rejected = f"the server rejected the connection ({answer.code}): {answer.message}"
    if answer.retry_after_ms is not None:
        raise RetryLaterError(rejected, answer.retry_after_ms / 1_000)
    raise ConnectError(rejected)


def socket_address(url: str) -> str:
    """The address of a server's websocket: `http` is `ws`, and without a path the endpoint is added."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        scheme, rest = "ws", url
    scheme = {"http": "ws", "https": "wss"}.get(scheme, scheme)
    path = "" if "/" in rest.rstrip("/") else ENDPOINT
    return f"{scheme}://{rest.rstrip('/') if path else rest}{path}"


async def _open_socket(url: str, ssl: SSLContext | None) -> ClientConnection:
    options: dict[str, Any] = {} if ssl is None else {"ssl": ssl}
    try:
        return await connect_socket(
            url,
            subprotocols=[Subprotocol(messages.SUBPROTOCOL)],
            compression=None,
            max_size=None,
            **options,
        )
    except (OSError, WebSocketException) as error:
        raise RetryLaterError(
            f"expected an emostream server at {url}, got: {error}; start one with `emostream serve`"
        ) from error
    except ValueError as error:  # a port or a name out of range
        raise ConnectError(f"expected the address of an emostream server, got {url}: {error}") from error


def describe_close(closed: ConnectionClosed) -> str:
    if closed.rcvd is None:
        return "got a connection that broke; is the server still running?"
    return f"got close code {closed.rcvd.code} {closed.rcvd.reason}".rstrip()


def raise_if_fatal(closed: ConnectionClosed) -> None:
    """Raises ConnectError where another connection would end the same way."""
    if closed.rcvd is not None and closed.rcvd.code in FATAL:
        raise ConnectError(f"expected `closed` as the last event, {describe_close(closed)}") from closed
