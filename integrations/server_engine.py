"""Emotions from a server: our own client."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from ssl import SSLContext
from typing import Final

import msgspec

from emostream.streamer.client import ClientStream, ConnectionLost, Reconnected, Retry, connect
from emostream.streamer.client.one_clock import OneClock
from emostream.streamer.errors import EmostreamError
from emostream.streamer.protocol import messages

log = logging.getLogger(__name__)

_GOODBYE_S: Final = 1.0


class ServerEngine:
    """url: of a server, such as `ws://127.0.0.1:8765`; token, ssl, retry: see `emostream.connect`.

    A connection that breaks is resumed, or a fresh session goes on where it was, on one clock.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        ssl: SSLContext | None = None,
        retry: Retry | None = None,
    ) -> None:
        self.url = url
        self._token = token
        self._ssl = ssl
        self._retry = retry

    async def ready(self) -> None:
        """Nothing is to be done before a stream is opened."""

    @asynccontextmanager
    async def connect(self, start: messages.Start) -> AsyncIterator[_ServerConnection]:
        """Raises ConnectError."""
        if self._token is not None:
            start = msgspec.structs.replace(start, token=self._token)
        async with connect(self.url, start, ssl=self._ssl, retry=self._retry) as stream:
            try:
                yield _ServerConnection(stream)
            finally:
                # Else the server keeps the session for a client that comes back.
                with suppress(EmostreamError, TimeoutError):
                    async with asyncio.timeout(_GOODBYE_S):
                        await stream.stop()


class _ServerConnection:
    def __init__(self, stream: ClientStream) -> None:
        self._stream = stream
        self.send = stream.send
        self.gap = stream.gap
        self.flush = stream.flush
        self.stop = stream.stop

    async def events(self) -> AsyncIterator[messages.ServerEvent]:
        clock = OneClock()
        async for event in self._stream:
            match event:
                case ConnectionLost(reason=reason):
                    log.warning("the connection to the emostream server is lost: %s", reason)
                case Reconnected(reason=reason):
                    clock.reconnected(event)
                    log.warning("connected to the emostream server again; %s", reason)
                case _:
                    yield clock.place(event)
