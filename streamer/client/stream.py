"""One client stream: sends audio within its credit, receives events, resumes a broken connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Sequence
from contextlib import suppress
from ssl import SSLContext

import msgspec
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from ..errors import ConnectError
from ..protocol import messages
from ..protocol.transport import send_message
from .reconnect import (
    ClientEvent,
    Reconnected,
    ReconnectLoop,
    Retry,
    describe_close,
    open_connection,
)
from .unacknowledged import UnacknowledgedLog


class ClientStream:
    """`ready` describes the server's models; positions are sample frames of the present session."""

    def __init__(
        self,
        socket: ClientConnection,
        ready: messages.Ready,
        start: messages.Start,
        url: str,
        retry: Retry,
        tls: SSLContext | None,
    ) -> None:
        self.ready = ready
        self._socket = socket
        self._start = start
        self._url = url
        self._tls = tls
        self._loop = ReconnectLoop(retry)

        self._unacknowledged = UnacknowledgedLog(start)
        self._credit = asyncio.Event()
        self._take_limits()

        # For `Reconnected`. One that was not yet reported stays until a connection holds.
        self._unreported: Reconnected | None = None
        self._last_seq = 0
        self._last_end_ms = 0

        self._ended: ConnectError | None = None
        # Nothing new is sent while unacknowledged messages are sent again.
        self._sending = asyncio.Lock()

    @property
    def sent_samples(self) -> int:
        return self._unacknowledged.sent_samples

    def _take_limits(self) -> None:
        limits, rate_hz = self.ready.limits, self._start.sample_rate
        self._max_unacked = limits.max_unacked_ms * rate_hz // 1_000
        # A message is at most a second and at most what the server takes.
        frame_bytes = self._unacknowledged.frame_bytes
        self._message_bytes = min(rate_hz, limits.message_bytes // frame_bytes) * frame_bytes

    async def send(self, data: bytes) -> None:
        """Send audio in the encoding of `start`, in blocks of any size.

        Waits for credit, and while the connection is down: events must be read meanwhile. Raises ConnectError
        once the stream has ended.
        """
        size = self._message_bytes
        for first in range(0, len(data), size):
            while self._ended is None and self._unacknowledged.unacked_samples >= self._max_unacked:
                self._credit.clear()
                await self._credit.wait()
            part = data[first : first + size]
            async with self._sending:
                self._unacknowledged.audio(part)
                for message in self._parts(part):
                    await self._send(message)

    async def gap(self, ms: int) -> None:
        """Report audio that had to be dropped: the clock moves on."""
        async with self._sending:
            self._unacknowledged.gap(ms)
            await self._send(messages.encode(messages.Gap(ms=ms)))

    async def flush(self) -> None:
        """End the utterance in progress after what was sent."""
        async with self._sending:
            await self._send(self._unacknowledged.flush())

    async def stop(self) -> None:
        """No more audio: the finals come, then `closed`."""
        async with self._sending:
            await self._send(self._unacknowledged.stop())

    async def ping(self) -> float:
        """Seconds to the server and back. Raises ConnectError where the connection has ended."""
        try:
            return await (await self._socket.ping())
        except ConnectionClosed as error:
            raise ConnectError(f"expected an answer to a ping, {describe_close(error)}") from error

    async def _send(self, message: str | bytes) -> None:
        if self._ended is not None:
            raise self._ended
        # The message is logged: the reader sees the same end, reconnects and sends it again.
        with suppress(ConnectionClosed):
            await send_message(self._socket, message)

    async def __aiter__(self) -> AsyncIterator[ClientEvent]:
        """Events up to and with `closed`, each once and in order. Raises ConnectError where the stream ends
        before that: the server rejected it, or did not come back.
        """
        try:
            while True:
                try:
                    message = messages.decode_server_message(await self._socket.recv())
                except ConnectionClosed as closed:
                    yield await self._loop.reconnect(closed, self._resume)
                    continue
                if not isinstance(message, messages.Ready):
                    self._loop.reset()
                match message:
                    case messages.Ack(received_samples=samples):
                        self._unacknowledged.acknowledge(samples)
                        self._credit.set()
                    case messages.Ready():
                        pass
                    case event:
                        self._last_seq = max(self._last_seq, event.seq)
                        if isinstance(event, messages.NoEmotion) or (
                            isinstance(event, messages.Emotion) and event.final
                        ):
                            self._last_end_ms = event.end_ms
                        yield event
                        if isinstance(event, messages.Closed):
                            return
        except ConnectError as error:
            self._ended = error
            raise
        finally:
            self._ended = self._ended or ConnectError("expected an open stream, got one that has ended")
            self._credit.set()

    async def recognize(self, audio: AsyncIterable[bytes | messages.Gap]) -> AsyncIterator[ClientEvent]:
        """Send all of it, then `stop`; yield events as they come, up to and with `closed`."""

        async def send_all() -> None:
            cancelled = False
            try:
                async for data in audio:
                    if isinstance(data, messages.Gap):
                        await self.gap(data.ms)
                    else:
                        await self.send(data)
            except ConnectError:
                return  # the reader sees the same end, and raises its reason
            except asyncio.CancelledError:
                cancelled = True  # the caller reads no finals any more
                raise
            finally:
                # Also where the audio itself fails: what was sent is worth its finals.
                if self._ended is None and not cancelled:
                    with suppress(ConnectError):
                        await self.stop()

        sender = asyncio.create_task(send_all(), name="send")
        try:
            async for event in self:
                yield event
            if sender.done():
                sender.result()  # raises the audio's own error, if it had one
        finally:
            sender.cancel()
            await asyncio.gather(sender, return_exceptions=True)

    async def _resume(self, reason: str) -> Reconnected:
        """Open another connection and send again what the server has not received."""
        assert self.ready.resume_token is not None
        resume = messages.Resume(
            session=self.ready.session, resume_token=self.ready.resume_token, last_seq=self._last_seq
        )
        socket, ready = await open_connection(
            self._url, msgspec.structs.replace(self._start, resume=resume), self._tls
        )
        async with self._sending:
            self._socket, self.ready = socket, ready
            reconnected = Reconnected(
                resumed=ready.resumed,
                session=ready.session,
                lost_from_seq=ready.lost_from_seq,
                missing_from_ms=self._last_end_ms,
                clock_start_ms=0 if ready.resumed else self._unacknowledged.acknowledged_ms,
                reason=reason,
            )
            if ready.resumed:
                # Where the connection to a fresh session broke before it was reported, that is reported now.
                reconnected = self._unreported or reconnected
            else:
                self._unreported = self._unreported or reconnected
                self._unacknowledged.rebase()
                self._take_limits()
                self._last_seq = self._last_end_ms = 0
            for message in self._unacknowledged.unreceived(ready.received_samples, ready.received_gap_ms):
                for part in self._parts(message):
                    await send_message(socket, part)
            self._unreported = None
        return reconnected

    def _parts(self, message: str | bytes) -> Sequence[str | bytes]:
        """The limit of a new server may be lower than that for which the audio was cut."""
        if isinstance(message, str):
            return [message]
        size = self._message_bytes
        return [message[first : first + size] for first in range(0, len(message), size)]

    async def close(self) -> None:
        """Close without waiting for finals; for those, `stop` and read on."""
        await self._socket.close()
