"""A reverse proxy that serves a server below a path of its own, which it strips from every request."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from tests.support.loopback_proxy import LoopbackProxy


class StrippingProxy(LoopbackProxy):
    """prefix: `/voice`. Other paths are answered by 404, as those of another application."""

    def __init__(self, port: int, prefix: str) -> None:
        super().__init__(port)
        self.outside: list[str] = []  # paths that were asked for and are not below the prefix
        self._prefix = prefix

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                await self._forward(reader, writer)
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request a connection: the server closes it, or it becomes a websocket."""
        method, path, protocol = (await reader.readline()).split(b" ", 2)
        inside = path.removeprefix(self._prefix.encode())
        if inside == path or not inside.startswith(b"/"):
            self.outside.append(path.decode())
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            await writer.drain()
            return
        to_reader, to_writer = await asyncio.open_connection("127.0.0.1", self._server_port)
        to_writer.write(b" ".join((method, inside, protocol)))
        sending = asyncio.create_task(_pump(reader, to_writer), name="request")
        try:
            await _pump(to_reader, writer)
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
            to_writer.close()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while data := await source.read(65_536):
        sink.write(data)
        await sink.drain()
