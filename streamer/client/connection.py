"""Two ways to connect: `connect` sends audio and gets its events, `subscribe` follows a published stream."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from ssl import SSLContext
from typing import TYPE_CHECKING

import msgspec
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from ..errors import ConfigError
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
    socket_address,
)
from .stream import ClientStream

if TYPE_CHECKING:
    from .audio import ClientAudio


@asynccontextmanager
async def connect(
    url: str,
    start: messages.Start | None = None,
    *,
    audio: ClientAudio | str | Path | None = None,
    token: str | None = None,
    language: str | None = None,
    options: messages.Options | None = None,
    ssl: SSLContext | None = None,
    retry: Retry | None = None,
) -> AsyncIterator[ClientStream]:
    """Open a session. Iterating over the stream gives its events.

    url: of the server, such as `ws://127.0.0.1:8765`; without a path the endpoint is added. audio: the path
    of a recording, which is sent as fast as the server takes it, or a `ClientAudio` (a microphone, a
    recording at the pace at which it was spoken), sent while the events are iterated over. start: describes
    audio of another kind instead, which goes to `send` or `recognize`; it has language and options itself.
    token: of a server that asks for one. language: BCP 47, None to detect it. options: wishes of this
    session (docs/protocol.md). ssl: for a wss address whose certificate the system does not know. retry: for
    connections that break later; the first one is tried once.

    Raises ConnectError, with the server's own message where the server rejects the session, ConfigError where
    neither or both of start and audio are given, and SourceError for a recording that cannot be read.
    """
    start, source = _start_of(start, audio, token, language, options)
    address = socket_address(url)
    socket, ready = await open_first(address, start, ssl)
    stream = ClientStream(socket, ready, start, address, retry or Retry(), ssl, source)
    try:
        yield stream
    finally:
        await stream.close()


def _start_of(
    start: messages.Start | None,
    audio: ClientAudio | str | Path | None,
    token: str | None,
    language: str | None,
    options: messages.Options | None,
) -> tuple[messages.Start, ClientAudio | None]:
    """The first message, and the audio that goes with it."""
    if (start is None) == (audio is None):
        given = "neither" if start is None else "both"
        raise ConfigError(f"expected either audio or start, got {given}; pass one of them")
    if start is not None:
        if language is not None or options is not None:
            raise ConfigError(
                "expected language and options within start, got them beside it; put them there"
            )
        return (start if token is None else msgspec.structs.replace(start, token=token)), None
    from .audio import ClientAudio  # brings the decoder and the microphone's library

    source = audio if isinstance(audio, ClientAudio) else ClientAudio.file(Path(str(audio)), paced=False)
    return source.start(token=token, language=language, options=options), source


async def subscribe(
    url: str,
    stream: str,
    *,
    token: str | None = None,
    retry: Retry | None = None,
    ssl: SSLContext | None = None,
) -> AsyncIterator[ClientEvent]:
    """The events of a stream that the server publishes, up to and with `closed`: those that it keeps, then
    new ones. A connection that breaks is resumed; where the server shuts down, the stream of the next one is
    followed.

    Raises ConnectError where the server rejects the subscription or does not come back.
    """
    url = socket_address(url)
    first = messages.Subscribe(stream=stream, token=token)
    loop = ReconnectLoop(retry or Retry())
    last_seq = 0

    async def connect_again(reason: str) -> tuple[ClientConnection, messages.Ready, Reconnected]:
        resume = messages.Resume(session=ready.session, last_seq=last_seq)
        again, fresh = await open_connection(url, msgspec.structs.replace(first, resume=resume), ssl)
        return again, fresh, _reconnected(fresh, reason)

    socket, ready = await open_first(url, first, ssl)
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
            if isinstance(event, messages.Ready | messages.Ack | messages.Waveform):
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
