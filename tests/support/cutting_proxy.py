"""A TCP proxy that cuts its connections where the test chooses, between and inside messages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress


class CuttingProxy:
    """budget: called for every connection, the bytes in both directions until it is cut; None: never."""

    def __init__(self, port: int, budget: Callable[[], int | None]) -> None:
        self.cuts = 0
        self.port = 0
        self._server_port = port
        self._budget = budget
        self._pumps: set[asyncio.Task[None]] = set()
        self._ends: set[asyncio.StreamWriter] = set()

    def break_all(self) -> None:
        """Both ends of every connection see it broken."""
        for end in self._ends:
            end.transport.abort()
        self._ends.clear()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[CuttingProxy]:
        listener = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        self.port = listener.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            listener.close()
            for pump in self._pumps:
                pump.cancel()
            await asyncio.gather(*self._pumps, return_exceptions=True)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            to_reader, to_writer = await asyncio.open_connection("127.0.0.1", self._server_port)
        except OSError:  # the server is gone: so is this
            writer.transport.abort()
            return
        left = self._budget()
        self._ends |= {writer, to_writer}

        async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            nonlocal left
            with suppress(ConnectionError):
                while data := await source.read(4_096):
                    if left is not None:
                        data, left = data[:left], left - len(data[:left])
                    sink.write(data)
                    if left == 0:
                        # What was let through is let through; then both ends see a broken connection.
                        await sink.drain()
                        self.cuts += 1
                        break
                    await sink.drain()
            for end in (writer, to_writer):
                end.transport.abort() if left == 0 else end.close()

        for source, sink in ((reader, to_writer), (to_reader, writer)):
            task = asyncio.create_task(pump(source, sink), name="proxy")
            self._pumps.add(task)
            task.add_done_callback(self._pumps.discard)
