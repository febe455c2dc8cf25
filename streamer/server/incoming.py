"""Connections until their handshake is over: counted, bounded, and answered where they are no GET."""

from __future__ import annotations

import asyncio
import errno
import logging
from typing import Any, Final

from websockets.asyncio.server import ServerConnection

from .http import method_not_allowed

log = logging.getLogger(__name__)

HTTP_RESERVE: Final = 64
"""Connections beyond the limit of sockets, so that plain HTTP is answered on a full server."""

_LONGEST_METHOD: Final = 20
_EXHAUSTED: Final = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_FLOOD: Final = 5  # bad connections a second that are worth a line


class IncomingConnections:
    """most: of all connections, those that are served too. served: how many of those there are."""

    def __init__(self, most: int, served: set[asyncio.Task[None]]) -> None:
        self._most = most
        self._served = served
        self._handshakes: set[IncomingConnection] = set()
        # Since the last report.
        self._invalid = 0
        self._refused = 0

    @property
    def count(self) -> int:
        """Connections that are served, and those whose handshake is under way."""
        return len(self._served) + len(self._handshakes)

    def add(self, connection: IncomingConnection) -> bool:
        """False where there are too many: it is to be cut off."""
        if self.count >= self._most:
            self._refused += 1
            return False
        self._handshakes.add(connection)
        return True

    def discard(self, connection: IncomingConnection, *, valid: bool) -> None:
        """The handshake is over, or the connection. valid: whether there was a request."""
        if connection in self._handshakes:
            self._handshakes.remove(connection)
            self._invalid += not valid

    def note_refusal(self) -> None:
        """A request was refused because of a limit."""
        self._refused += 1

    def report(self) -> None:
        """Log a line where many connections went wrong. To be called every second or so."""
        if self._invalid + self._refused >= _FLOOD:
            log.warning(
                "%d connections were refused because of a limit, %d ended without a valid request",
                self._refused,
                self._invalid,
            )
        self._invalid = self._refused = 0


def report_accept_errors(loop: asyncio.AbstractEventLoop) -> None:
    """Log a line where a connection cannot be accepted for want of files or memory: asyncio tries again after
    a second, and would log a traceback each time.
    """
    before = loop.get_exception_handler()

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, OSError) and error.errno in _EXHAUSTED:
            log.warning("connections wait: %s; lower server.connections", error.strerror)
        elif before is not None:
            before(loop, context)
        else:
            loop.default_exception_handler(context)

    loop.set_exception_handler(handle)


class IncomingConnection(ServerConnection):
    """websockets closes a connection that begins with another method than GET, or with a body, without an
    answer: such a request is answered here.
    """

    head = False
    """Whether the request is a HEAD: the answer then has no body."""

    def __init__(self, *arguments: Any, incoming: IncomingConnections, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._incoming = incoming
        self._beginning: bytes | None = b""  # until the method is known
        self._rejected = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if not self._incoming.add(self):
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._incoming.discard(self, valid=self._rejected or self.request is not None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._rejected:
            return  # the body, which is read so that the client gets the answer
        if self._beginning is not None:
            data = self._beginning + data
            method, space, _ = data.partition(b" ")
            if not space and len(data) <= _LONGEST_METHOD:
                self._beginning = data
                return
            self._beginning = None
            if method == b"HEAD":
                self.head = True
                data = b"GET" + data[len(method) :]
            elif method != b"GET" and len(method) <= _LONGEST_METHOD and method.isalpha():
                self._reject_method(method.decode("ascii"))
                return
        super().data_received(data)

    def _reject_method(self, method: str) -> None:
        self._rejected = True
        self.transport.write(method_not_allowed(method).serialize())
        if self.transport.can_write_eof():
            self.transport.write_eof()  # the client closes; else the handshake's timeout does
        else:
            self.transport.close()
