"""One client stream: sends audio within its credit, receives events, resumes a broken connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Sequence
from contextlib import suppress
from functools import partial
from ssl import SSLContext

import msgspec
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from ..errors import ConnectError
from ..protocol import messages
from ..protocol.transport import send_message
from .reconnect import (
    ClientEvent,
    ConnectionLost,
    Reconnected,
    ReconnectLoop,
    Retry,
    describe_close,
    open_connection,
    raise_if_fatal,
)
from .resend_buffer import ResendBuffer
from .session_progress import SessionProgress


class ClientStream:
    """`ready` describes the server's models; positions are sample frames of the present session."""

    def __init__(
        self,
        socket: ClientConnection,
        ready: messages.Ready,
        start: messages.Start,
        url: str,
        retry: Retry,
        ssl: SSLContext | None,
        audio: AsyncIterable[bytes | messages.Gap] | None = None,
    ) -> None:
        """audio: what iterating over the stream sends."""
        self.ready = ready
        self._socket = socket
        self._start = start
        self._url = url
        self._ssl = ssl
        self._audio = audio
        self._loop = ReconnectLoop(retry)

        self._buffer = ResendBuffer(start)
        self._credit = asyncio.Event()
        self._take_limits()

        self._progress = SessionProgress()

        self.connected = True
        self._ended: ConnectError | None = None
        # Nothing new is sent while messages are sent again: the task that does it holds the lock.
        self._sending = asyncio.Lock()
        self._resending: asyncio.Task[None] | None = None

    @property
    def sent_samples(self) -> int:
        return self._buffer.sent_samples

    @property
    def results_until_ms(self) -> int:
        """How far the audio has all its results, from the beginning of the first session."""
        progress = self._progress
        return progress.clock_start_ms + max(self._buffer.committed_ms, progress.last_end_ms)

    def _take_limits(self) -> None:
        limits, rate_hz = self.ready.limits, self._start.sample_rate
        self._max_unacked = limits.max_unacked_ms * rate_hz // 1_000
        # A message is at most a second and at most what the server takes.
        frame_bytes = self._buffer.frame_bytes
        self._message_bytes = min(rate_hz, limits.message_bytes // frame_bytes) * frame_bytes

    async def send(self, data: bytes) -> None:
        """Send audio in the encoding of `start`, in blocks of any size.

        Waits for credit, and while the connection is down: events must be read meanwhile. Raises ConnectError
        once the stream has ended.
        """
        size = self._message_bytes
        for first in range(0, len(data), size):
            await self._wait_for_credit(lambda: self._buffer.unacked_samples)
            part = data[first : first + size]
            async with self._sending:
                self._buffer.audio(part)
                for _, message in self._parts(part):
                    await self._send(message)

    async def _wait_for_credit(self, unacked_samples: Callable[[], int]) -> None:
        while self._ended is None and unacked_samples() >= self._max_unacked:
            self._credit.clear()
            await self._credit.wait()

    async def gap(self, ms: int, reason: str | None = None) -> None:
        """Report audio that is not sent: the clock moves on. reason: of up to 100 characters, for `dropped`;
        by default that it had to be dropped.
        """
        gap = messages.Gap(ms=ms, reason=reason)
        async with self._sending:
            self._buffer.gap(gap)
            await self._send(messages.encode(gap))

    async def flush(self) -> None:
        """End the utterance in progress after what was sent."""
        async with self._sending:
            await self._send(self._buffer.flush())

    async def stop(self) -> None:
        """No more audio: the finals come, then `closed`."""
        async with self._sending:
            await self._send(self._buffer.stop())

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

    def __aiter__(self) -> AsyncIterator[ClientEvent]:
        """Events up to and with `closed`, each once and in order; the audio with which the stream was opened
        is sent meanwhile. Raises ConnectError where the stream ends before that: the server rejected it, or
        did not come back; and what the audio raises, after its finals.
        """
        if self._audio is None:
            return self._events()
        audio, self._audio = self._audio, None
        return self.recognize(audio)

    async def _events(self) -> AsyncIterator[ClientEvent]:
        """Events up to and with `closed`, each once and in order. Raises ConnectError where the stream ends
        before that: the server rejected it, or did not come back.
        """
        try:
            while True:
                try:
                    message = messages.decode_server_message(await self._socket.recv())
                except ConnectionClosed as closed:
                    self.connected = False
                    raise_if_fatal(closed)
                    yield ConnectionLost(reason=describe_close(closed))
                    reconnected = await self._loop.reconnect(closed, self._resume)
                    self.connected = True
                    yield reconnected
                    continue
                if not isinstance(message, messages.Ready | messages.Closed):
                    self._loop.reset()
                match message:
                    case messages.Ack(received_samples=received, committed_samples=committed):
                        self._buffer.acknowledge(received, committed)
                        self._credit.set()
                    case messages.Ready() | messages.Waveform():
                        pass
                    case messages.Closed(reason="shutting_down") if not self._buffer.delivered:
                        # The rest of it is for the next server. The close of the connection follows.
                        self._progress.over = True
                        self._buffer.commit_received()
                    case event:
                        if self._progress.note(event):
                            yield event
                        if isinstance(event, messages.Closed):
                            return
        except ConnectError as error:
            self._ended = error
            raise
        finally:
            self._ended = self._ended or ConnectError("expected an open stream, got one that has ended")
            self._credit.set()
            await self._stop_resending()

    async def recognize(self, audio: AsyncIterable[bytes | messages.Gap]) -> AsyncIterator[ClientEvent]:
        """Send all of it, then `stop`; yield events as they come, up to and with `closed`."""

        async def send_all() -> None:
            cancelled = False
            try:
                async for data in audio:
                    if isinstance(data, messages.Gap):
                        await self.gap(data.ms, data.reason)
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
            async for event in self._events():
                yield event
            if sender.done():
                sender.result()  # raises the audio's own error, if it had one
        finally:
            sender.cancel()
            await asyncio.gather(sender, return_exceptions=True)

    async def _resume(self, reason: str) -> Reconnected:
        """Open another connection, and begin to send again what its session has not received."""
        await self._stop_resending()
        first = msgspec.structs.replace(self._start, resume=self._progress.resume(self.ready))
        socket, ready = await open_connection(self._url, first, self._ssl)
        await self._sending.acquire()
        self._socket, self.ready = socket, ready
        reconnected = self._continued(reason) if ready.resumed else self._begun_again(reason)
        again = tuple(self._buffer.unreceived(ready.received_samples, ready.received_gap_ms))
        self._resending = asyncio.create_task(self._send_again(socket, again), name="send again")
        self._resending.add_done_callback(lambda _: self._sending.release())
        return reconnected

    def _continued(self, reason: str) -> Reconnected:
        return Reconnected(
            resumed=True,
            session=self.ready.session,
            lost_from_seq=self.ready.lost_from_seq,
            missing_from_ms=None,
            clock_start_ms=0,
            reason=reason,
        )

    def _begun_again(self, reason: str) -> Reconnected:
        """In a fresh session."""
        last_end_ms = self._progress.last_end_ms
        clock_start_ms = self._buffer.rebase(last_end_ms)
        nothing_is_missing = self._buffer.server_commits or self._progress.over
        reconnected = Reconnected(
            resumed=False,
            session=self.ready.session,
            lost_from_seq=self.ready.lost_from_seq,
            missing_from_ms=None if nothing_is_missing else last_end_ms,
            clock_start_ms=clock_start_ms,
            reason=reason,
        )
        self._take_limits()
        self._progress.begin_again(clock_start_ms)
        return reconnected

    async def _send_again(self, socket: ClientConnection, again: Sequence[tuple[int, str | bytes]]) -> None:
        """Within the credit, as if it were new: it may be a whole utterance and more."""
        with suppress(ConnectionClosed):  # the reader sees the same end, and reconnects
            for begin, message in again:
                for offset, part in self._parts(message):
                    await self._wait_for_credit(partial(self._unacked_before, begin + offset))
                    await send_message(socket, part)

    def _unacked_before(self, position: int) -> int:
        """Sample frames before this byte that the session has not acknowledged."""
        return (position - self._buffer.received_bytes) // self._buffer.frame_bytes

    async def _stop_resending(self) -> None:
        if self._resending is not None:
            self._resending.cancel()
            await asyncio.wait({self._resending})
            self._resending = None

    def _parts(self, message: str | bytes) -> Sequence[tuple[int, str | bytes]]:
        """Each with its offset. The limit of a new server may be lower than that for which the audio was
        cut.
        """
        if isinstance(message, str):
            return [(0, message)]
        size = self._message_bytes
        return [(first, message[first : first + size]) for first in range(0, len(message), size)]

    async def close(self) -> None:
        """Close without waiting for finals; for those, `stop` and read on."""
        await self._stop_resending()
        await self._socket.close()
