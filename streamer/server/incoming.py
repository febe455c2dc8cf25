"""Connections until their handshake is over, or their request: counted, bounded, and sorted by the method."""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Final, cast

from .audio_connection import AudioConnection

log = logging.getLogger(__name__)

HTTP_RESERVE: Final = 64
"""Connections beyond the limit of sockets, so that plain HTTP is answered on a full server."""

_LONGEST_METHOD: Final = 20
_READ_BYTES: Final = 1 << 16
"""Of a request's body: twice that is buffered at most before the client has to wait."""

_EXHAUSTED: Final = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_FLOOD: Final = 5  # bad connections a second that are worth a line


ServeRequest = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]
"""Answers the request that comes from the reader, and closes the connection."""


class IncomingConnections:
    """most: of all connections, those that are served too. served: how many of those there are."""

    def __init__(self, most: int, served: set[asyncio.Task[None]]) -> None:
        self._most = most
        self._served = served
        self._handshakes: set[IncomingConnection] = set()
        self._requests: set[asyncio.Task[None]] = set()
        # Since the last report.
        self._invalid = 0
        self._refused = 0

    @property
    def count(self) -> int:
        """Connections that are served, and those whose handshake or other request is under way."""
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

    def start_request(self, connection: IncomingConnection, work: Coroutine[Any, Any, None]) -> None:
        """Serve a request in a task of its own. The connection counts until it ends."""
        task = asyncio.create_task(work, name="request")
        self._requests.add(task)

        def ended(task: asyncio.Task[None]) -> None:
            self._requests.discard(task)
            self.discard(connection, valid=True)
            if not task.cancelled() and (error := task.exception()) is not None:
                log.error("a request failed", exc_info=error)

        task.add_done_callback(ended)

    async def cancel_requests(self) -> None:
        for task in self._requests:
            task.cancel()
        if self._requests:
            await asyncio.wait(self._requests)

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


class IncomingConnection(AudioConnection):
    """websockets takes GET alone, and no body. So a connection becomes one of websockets only when its first
    bytes are GET or HEAD; any other request is handed over to `serve_request`, with a reader and a writer.

    first_byte_s: how long a client may take for the method.
    """

    head = False
    """Whether the request is a HEAD: the answer then has no body."""

    def __init__(
        self,
        *arguments: Any,
        incoming: IncomingConnections,
        serve_request: ServeRequest,
        first_byte_s: float,
        **options: Any,
    ) -> None:
        super().__init__(*arguments, **options)
        self._incoming = incoming
        self._serve_request = serve_request
        self._first_byte_s = first_byte_s
        self._beginning: bytes | None = b""  # until the method is known
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        if not self._incoming.add(self):
            self.transport.abort()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._first_byte_s, self.transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        self._incoming.discard(self, valid=self.request is not None)
        if self._beginning is None:
            super().connection_lost(exc)

    def eof_received(self) -> None:
        if self._beginning is None:
            super().eof_received()

    def data_received(self, data: bytes) -> None:
        if self._beginning is None:
            super().data_received(data)
            return
        data = self._beginning + data
        method, space, _ = data.partition(b" ")
        if not space and len(data) <= _LONGEST_METHOD:
            self._beginning = data
            return
        self._beginning = None
        self._stop_timer()
        if method not in (b"GET", b"HEAD") and len(method) <= _LONGEST_METHOD and method.isalpha():
            self._hand_over(data)
            return
        super().connection_made(self.transport)
        if method == b"HEAD":
            self.head = True
            data = b"GET" + data[len(method) :]
        super().data_received(data)

    def _hand_over(self, data: bytes) -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(_READ_BYTES, loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        self.transport.set_protocol(protocol)
        protocol.connection_made(self.transport)
        protocol.data_received(data)
        writer = asyncio.StreamWriter(self.transport, protocol, reader, loop)
        self._incoming.start_request(self, self._serve_request(reader, writer))

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
