"""Two ways to connect: `connect` sends audio and gets its events, `subscribe` follows a published stream."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ssl import SSLContext

import msgspec
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from ..protocol import messages
from .reconnect import (
    ClientEvent,
    ConnectionLost,
    Reconnected,
    ReconnectLoop,
    Retry,
    describe_close,
    open_connection,
    open_first,
    raise_if_fatal,
)
from .stream import ClientStream


@asynccontextmanager
async def connect(
    url: str, start: messages.Start, *, retry: Retry | None = None, tls: SSLContext | None = None
) -> AsyncIterator[ClientStream]:
    """Open a session. retry: for connections that break later; the first one is tried once. tls: for a wss
    address whose certificate the system does not know.

    Raises ConnectError, with the server's own message where the server rejects the session.
    """
    socket, ready = await open_first(url, start, tls)
    stream = ClientStream(socket, ready, start, url, retry or Retry(), tls)
    try:
        yield stream
    finally:
        await stream.close()


async def subscribe(
    url: str,
    stream: str,
    *,
    token: str | None = None,
    retry: Retry | None = None,
    tls: SSLContext | None = None,
) -> AsyncIterator[ClientEvent]:
    """The events of a stream that the server publishes, up to and with `closed`: those that it keeps, then
    new ones. A connection that breaks is resumed; where the server shuts down, the stream of the next one is
    followed.

    Raises ConnectError where the server rejects the subscription or does not come back.
    """
    first = messages.Subscribe(stream=stream, token=token)
    loop = ReconnectLoop(retry or Retry())
    last_seq = 0

    async def connect_again(reason: str) -> tuple[ClientConnection, messages.Ready, Reconnected]:
        resume = messages.Resume(session=ready.session, last_seq=last_seq)
        again, fresh = await open_connection(url, msgspec.structs.replace(first, resume=resume), tls)
        return again, fresh, _reconnected(fresh, reason)

    socket, ready = await open_first(url, first, tls)
    try:
        while True:
            try:
                event = messages.decode_server_message(await socket.recv())
            except ConnectionClosed as closed:
                raise_if_fatal(closed)
                yield ConnectionLost(reason=describe_close(closed))
                socket, ready, reconnected = await loop.reconnect(closed, connect_again)
                if not ready.resumed:
                    last_seq = 0
                yield reconnected
                continue
            if isinstance(event, messages.Ready | messages.Ack):
                continue
            if isinstance(event, messages.Closed) and event.reason == "shutting_down":
                continue  # the stream of the next server is another one
            loop.reset()
            last_seq = max(last_seq, event.seq)
            yield event
            if isinstance(event, messages.Closed):
                return
    finally:
        await socket.close()


def _reconnected(ready: messages.Ready, reason: str) -> Reconnected:
    return Reconnected(
        resumed=ready.resumed,
        session=ready.session,
        lost_from_seq=ready.lost_from_seq,
        missing_from_ms=None,
        clock_start_ms=0,
        reason=reason,
    )
