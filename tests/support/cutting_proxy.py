"""A TCP proxy that cuts its connections where the test chooses, between and inside messages."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from tests.support.loopback_proxy import LoopbackProxy


class CuttingProxy(LoopbackProxy):
    """budget: called for every connection, the bytes in both directions until it is cut; None: never."""

    def __init__(self, port: int, budget: Callable[[], int | None]) -> None:
        self.cuts = 0
        super().__init__(port)
        self._budget = budget
        self._ends: set[asyncio.StreamWriter] = set()

    def break_all(self) -> None:
        """Both ends of every connection see it broken."""
        for end in self._ends:
            end.transport.abort()
        self._ends.clear()

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
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
