"""What an integrator imports: audio in, typed events out, over one websocket.

    async with connect("ws://127.0.0.1:8765/v1/stream", start) as stream:
        async for event in stream.recognize(blocks):
            ...

Needs websockets and msgspec only.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as connect_socket
from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.typing import Subprotocol

from . import events
from .errors import ConnectError

_READY_S: Final = 10.0


class ClientStream:
    """One session. `ready` says what the server runs; positions are sample frames."""

    def __init__(self, socket: ClientConnection, ready: events.Ready, start: events.Start) -> None:
        self.ready = ready
        self._socket = socket
        self._frame_bytes = start.channels * (2 if start.encoding == "pcm_s16le" else 4)
        self._ahead = ready.limits.ahead_ms * start.sample_rate // 1_000
        # A message is at most a second and at most what the server takes.
        self._message_bytes = min(start.sample_rate, ready.limits.message_bytes // self._frame_bytes)
        self._message_bytes *= self._frame_bytes
        self._sent_bytes = 0
        self._acked = 0
        self._credit = asyncio.Event()

    @property
    def sent_samples(self) -> int:
        return self._sent_bytes // self._frame_bytes

    async def send(self, data: bytes) -> None:
        """Audio in the encoding of `start`, any cut. Waits for credit. Somebody must read meanwhile."""
        for first in range(0, len(data), self._message_bytes):
            while self.sent_samples - self._acked >= self._ahead:
                self._credit.clear()
                await self._credit.wait()
            part = data[first : first + self._message_bytes]
            self._sent_bytes += len(part)
            await self._socket.send(part)

    async def gap(self, ms: int) -> None:
        await self._socket.send(events.encode(events.Gap(ms=ms)))

    async def flush(self) -> None:
        """End the utterance in progress behind what was sent."""
        await self._socket.send(events.encode(events.Flush(at_samples=self.sent_samples)))

    async def stop(self) -> None:
        """No more audio: the finals come, then `closed`."""
        await self._socket.send(events.encode(events.Stop(at_samples=self.sent_samples)))

    async def ping(self) -> float:
        """Seconds to the server and back. Raises ConnectError where the connection has ended."""
        try:
            return await (await self._socket.ping())
        except ConnectionClosed as error:
            raise ConnectError(f"expected an answer to a ping, {_how_it_ended(error)}") from error

    async def __aiter__(self) -> AsyncIterator[events.ServerEvent]:
        """Events up to and with `closed`. Raises ConnectError where the connection ends before it."""
        try:
            while True:
                message = events.decode_server(await self._socket.recv())
                if isinstance(message, events.Ack):
                    self._acked = message.received_samples
                    self._credit.set()
                elif not isinstance(message, events.Ready):
                    yield message
                    if isinstance(message, events.Closed):
                        return
        except ConnectionClosed as error:
            raise ConnectError(f"expected `closed` as the last event, {_how_it_ended(error)}") from error

    async def recognize(self, audio: AsyncIterable[bytes]) -> AsyncIterator[events.ServerEvent]:
        """Send all of it, then `stop`; events as they come, up to and with `closed`."""

        async def sending() -> None:
            try:
                async for data in audio:
                    await self.send(data)
            except ConnectionClosed:
                return  # the reader meets the same end, and says why
            finally:
                # Also where the audio itself fails: what was sent is worth its finals.
                with suppress(ConnectionClosed):
                    await self.stop()

        sender = asyncio.create_task(sending(), name="send")
        try:
            async for event in self:
                yield event
            if sender.done():
                sender.result()  # the audio's own error, if it had one
        finally:
            sender.cancel()
            await asyncio.gather(sender, return_exceptions=True)


@asynccontextmanager
async def connect(url: str, start: events.Start) -> AsyncIterator[ClientStream]:
    """Open a session. Raises ConnectError with the server's own words where it refuses."""
    try:
        socket = await connect_socket(
            url, subprotocols=[Subprotocol(events.SUBPROTOCOL)], compression=None, max_size=None
        )
    except (OSError, ValueError, WebSocketException) as error:  # ValueError: a port or a name out of range
        raise ConnectError(
            f"expected an emostream server at {url}, got: {error}; start one with `emostream serve`"
        ) from error
    async with socket:
        yield ClientStream(socket, await _introduce(socket, start), start)


async def _introduce(socket: ClientConnection, start: events.Start) -> events.Ready:
    try:
        async with asyncio.timeout(_READY_S):
            await socket.send(events.encode(start))
            first = events.decode_server(await socket.recv())
    except TimeoutError:
        raise ConnectError(
            f"expected `ready` within {_READY_S:g} s, got nothing; is this an emostream server?"
        ) from None
    except ConnectionClosed as error:
        raise ConnectError(f"expected `ready`, {_how_it_ended(error)}") from error
    if isinstance(first, events.Ready):
        return first
    if isinstance(first, events.Error):
        raise ConnectError(f"the server refused ({first.code}): {first.message}")
    raise ConnectError(f"expected `ready` as the first event, got {type(first).__name__}")


def _how_it_ended(error: ConnectionClosed) -> str:
    if error.rcvd is None:
        return "got a connection that broke; is the server still running?"
    return f"got close code {error.rcvd.code} {error.rcvd.reason}".rstrip()
