"""What an integrator imports: audio in, typed events out, over one websocket after the other.

    async with connect("ws://127.0.0.1:8765/v1/stream", start) as stream:
        async for event in stream.recognize(audio):
            ...

A connection that breaks is taken up again, and the session with it: no audio and no event is lost or doubled,
and a `Reconnected` among the events says so. Needs websockets and msgspec only; `client_audio` has
microphone and recordings for it.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterable, AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from ssl import SSLContext
from typing import Any, Final

import msgspec
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as connect_socket
from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.typing import Subprotocol

from ..errors import ConnectError
from ..protocol import close_codes, messages
from ..protocol.transport import send_message
from .unacknowledged import Log

_READY_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Retry:
    """How a broken connection is taken up again. attempts: in a row, 0 is never. The pauses double from
    `first_s` to `longest_s`, each of them drawn between half and all of that.
    """

    attempts: int = 10
    first_s: float = 0.25
    longest_s: float = 10.0

    def pause_s(self, attempt: int) -> float:
        """attempt: 0 for the first one."""
        return min(self.longest_s, self.first_s * 2.0 ** min(attempt, 30)) * random.uniform(0.5, 1.0)


@dataclass(frozen=True, slots=True)
class Reconnected:
    """The connection broke, and another one stands.

    resumed: the session goes on, and nothing is lost but what `lost_from_seq` says. Otherwise it is a
    fresh one: its
    clock begins at `clock_start_ms` of the one before, and what that one had heard behind `missing_from_ms`,
    the end of its last final, is lost. reason: how the connection ended.
    """

    resumed: bool
    session: str
    lost_from_seq: int | None
    missing_from_ms: int
    clock_start_ms: int
    reason: str


Told = messages.ServerEvent | Reconnected


class ClientStream:
    """One stream. `ready` says what the server runs; positions are sample frames of the present session."""

    def __init__(
        self,
        socket: ClientConnection,
        ready: messages.Ready,
        start: messages.Start,
        url: str,
        retry: Retry,
        tls: Any,
    ) -> None:
        self.ready = ready
        self._socket = socket
        self._start = start
        self._url = url
        self._retry = retry
        self._tls = tls
        self._log = Log(start)
        self._take_limits()
        self._attempts = 0  # to come back, since the server last said something
        self._untold: Reconnected | None = None
        self._last_seq = 0
        self._last_end_ms = 0
        self._credit = asyncio.Event()
        self._ended: ConnectError | None = None
        # Nobody says anything while what was said is said again.
        self._saying = asyncio.Lock()

    @property
    def sent_samples(self) -> int:
        return self._log.sent_samples

    def _take_limits(self) -> None:
        limits, rate_hz = self.ready.limits, self._start.sample_rate
        self._ahead = limits.max_unacked_ms * rate_hz // 1_000
        # A message is at most a second and at most what the server takes.
        self._message_bytes = min(rate_hz, limits.message_bytes // self._log.frame_bytes)
        self._message_bytes *= self._log.frame_bytes

    async def send(self, data: bytes) -> None:
        """Audio in the encoding of `start`, any cut. Waits for credit, and while the connection is down.
        Somebody must read meanwhile. Raises ConnectError once the stream has ended.
        """
        size = self._message_bytes
        for first in range(0, len(data), size):
            while self._ended is None and self._log.unacked_samples >= self._ahead:
                self._credit.clear()
                await self._credit.wait()
            part = data[first : first + size]
            async with self._saying:
                self._log.audio(part)
                for message in self._parts(part):
                    await self._say(message)

    async def gap(self, ms: int) -> None:
        """Audio that had to be dropped: the clock moves on."""
        async with self._saying:
            self._log.gap(ms)
            await self._say(messages.encode(messages.Gap(ms=ms)))

    async def flush(self) -> None:
        """End the utterance in progress behind what was sent."""
        async with self._saying:
            await self._say(self._log.flush())

    async def stop(self) -> None:
        """No more audio: the finals come, then `closed`."""
        async with self._saying:
            await self._say(self._log.stop())

    async def ping(self) -> float:
        """Seconds to the server and back. Raises ConnectError where the connection has ended."""
        try:
            return await (await self._socket.ping())
        except ConnectionClosed as error:
            raise ConnectError(f"expected an answer to a ping, {_how_it_ended(error)}") from error

    async def _say(self, message: str | bytes) -> None:
        if self._ended is not None:
            raise self._ended
        # It is in the log: the reader meets the same end, comes back and says it again.
        with suppress(ConnectionClosed):
            await send_message(self._socket, message)

    async def __aiter__(self) -> AsyncIterator[Told]:
        """Events up to and with `closed`, each once and in order. Raises ConnectError where the stream
        ends before it: the server refused, or did not come back.
        """
        try:
            while True:
                try:
                    message = messages.decode_server_message(await self._socket.recv())
                except ConnectionClosed as error:
                    yield await self._come_back(error)
                    continue
                if not isinstance(message, messages.Ready):
                    self._attempts = 0
                match message:
                    case messages.Ack(received_samples=samples):
                        self._log.acknowledge(samples)
                        self._credit.set()
                    case messages.Ready():
                        pass
                    case event:
                        self._last_seq = max(self._last_seq, event.seq)
                        if isinstance(event, messages.Emotion) and event.final:
                            self._last_end_ms = event.end_ms
                        yield event
                        if isinstance(event, messages.Closed):
                            return
        except ConnectError as error:
            self._ended = error
            raise
        finally:
            self._ended = self._ended or ConnectError(
                "expected a stream that goes on, got one that has ended"
            )
            self._credit.set()

    async def recognize(self, audio: AsyncIterable[bytes | messages.Gap]) -> AsyncIterator[Told]:
        """Send all of it, then `stop`; events as they come, up to and with `closed`."""

        async def sending() -> None:
            left = False
            try:
                async for data in audio:
                    if isinstance(data, messages.Gap):
                        await self.gap(data.ms)
                    else:
                        await self.send(data)
            except ConnectError:
                return  # the reader meets the same end, and says why
            except asyncio.CancelledError:
                left = True  # nobody reads the finals any more
                raise
            finally:
                # Also where the audio itself fails: what was sent is worth its finals.
                if self._ended is None and not left:
                    with suppress(ConnectError):
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

    async def _come_back(self, ended: ConnectionClosed) -> Reconnected:
        """Raises ConnectError where that does not help, or did not."""
        reason = _how_it_ended(ended)
        if ended.rcvd is not None and ended.rcvd.code in close_codes.FATAL:
            raise ConnectError(f"expected `closed` as the last event, {reason}") from ended
        wait_s = 0.0
        while self._attempts < self._retry.attempts:
            await asyncio.sleep(max(wait_s, self._retry.pause_s(self._attempts)))
            self._attempts += 1
            try:
                return await self._resume(reason)
            except _TryAgainError as error:
                wait_s, reason = error.after_s, str(error)
            except ConnectionClosed as error:
                reason = _how_it_ended(error)
        tried = f"; tried {self._retry.attempts} times to come back" if self._retry.attempts else ""
        raise ConnectError(f"expected `closed` as the last event, {reason}{tried}") from ended

    async def _resume(self, reason: str) -> Reconnected:
        assert self.ready.resume_token is not None
        resume = messages.Resume(
            session=self.ready.session, resume_token=self.ready.resume_token, last_seq=self._last_seq
        )
        socket = await _open(self._url, self._tls)
        ready = await _introduce(socket, msgspec.structs.replace(self._start, resume=resume))
        async with self._saying:
            self._socket, self.ready = socket, ready
            told = Reconnected(
                ready.resumed,
                ready.session,
                ready.lost_from_seq,
                self._last_end_ms,
                0 if ready.resumed else self._log.acknowledged_ms,
                reason,
            )
            if ready.resumed:
                # Where the line broke while a fresh session was being told, that is still to be said.
                told = self._untold or told
            else:
                self._untold = self._untold or told
                self._log.rebase()
                self._take_limits()
                self._last_seq = self._last_end_ms = 0
            for message in self._log.since(ready.received_samples, ready.received_gap_ms):
                for part in self._parts(message):
                    await send_message(socket, part)
            self._untold = None
        return told

    def _parts(self, message: str | bytes) -> Sequence[str | bytes]:
        """Audio of a server that took longer messages is cut for one that does not."""
        if isinstance(message, str):
            return [message]
        size = self._message_bytes
        return [message[first : first + size] for first in range(0, len(message), size)]

    async def close(self) -> None:
        """Without waiting for finals; for those, `stop` and read on."""
        await self._socket.close()


@asynccontextmanager
async def connect(
    url: str, start: messages.Start, *, retry: Retry | None = None, tls: SSLContext | None = None
) -> AsyncIterator[ClientStream]:
    """Open a session. retry: for connections that break later; the first one is tried once. tls: for a wss
    address whose certificate the system does not know.

    Raises ConnectError with the server's own words where it refuses.
    """
    try:
        socket = await _open(url, tls)
        ready = await _introduce(socket, start)
    except ConnectionClosed as error:
        raise ConnectError(f"expected `ready`, {_how_it_ended(error)}") from error
    except _TryAgainError as error:
        raise ConnectError(str(error)) from error
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
) -> AsyncIterator[Told]:
    """The events of one of the server's own streams, up to and with `closed`: those that it keeps, then those
    that come. A connection that breaks is taken up again.

    Raises ConnectError where the server refuses, or does not come back.
    """
    retry = retry or Retry()
    first = messages.Subscribe(stream=stream, token=token)
    session, last_seq, last_end_ms, reason = "", 0, 0, ""
    attempt, wait_s = 0, 0.0
    while True:
        try:
            socket = await _open(url, tls)
            try:
                ready = await _introduce(socket, first)
                if session:
                    lost = ready.lost_from_seq
                    yield Reconnected(ready.resumed, ready.session, lost, last_end_ms, 0, reason)
                if not ready.resumed:
                    session, last_seq, last_end_ms = ready.session, 0, 0
                attempt, wait_s = 0, 0.0
                while True:
                    event = messages.decode_server_message(await socket.recv())
                    if isinstance(event, messages.Ready | messages.Ack):
                        continue
                    last_seq = max(last_seq, event.seq)
                    if isinstance(event, messages.Emotion) and event.final:
                        last_end_ms = event.end_ms
                    yield event
                    if isinstance(event, messages.Closed):
                        return
            finally:
                await socket.close()
        except ConnectionClosed as error:
            reason = _how_it_ended(error)
            if error.rcvd is not None and error.rcvd.code in close_codes.FATAL:
                raise ConnectError(f"expected `closed` as the last event, {reason}") from error
        except _TryAgainError as error:
            wait_s, reason = error.after_s, str(error)
        if attempt >= retry.attempts or not session:
            raise ConnectError(f"expected `closed` as the last event, {reason}")
        await asyncio.sleep(max(wait_s, retry.pause_s(attempt)))
        attempt += 1
        resume = messages.Resume(session=session, last_seq=last_seq)
        first = messages.Subscribe(stream=stream, token=token, resume=resume)


class _TryAgainError(Exception):
    """The server does not answer, or has no room at present."""

    def __init__(self, message: str, after_s: float = 0.0) -> None:
        super().__init__(message)
        self.after_s = after_s


async def _open(url: str, tls: SSLContext | None) -> ClientConnection:
    settings: dict[str, Any] = {} if tls is None else {"ssl": tls}
    try:
        return await connect_socket(
            url,
            subprotocols=[Subprotocol(messages.SUBPROTOCOL)],
            compression=None,
            max_size=None,
            **settings,
        )
    except (OSError, WebSocketException) as error:
        raise _TryAgainError(
            f"expected an emostream server at {url}, got: {error}; start one with `emostream serve`"
        ) from error
    except ValueError as error:  # a port or a name out of range
        raise ConnectError(f"expected the address of an emostream server, got {url}: {error}") from error


async def _introduce(socket: ClientConnection, start: messages.Start | messages.Subscribe) -> messages.Ready:
    """Raises ConnectError, ConnectionClosed, and _TryAgainError where it may help to come again."""
    try:
        async with asyncio.timeout(_READY_S):
            await send_message(socket, messages.encode(start))
            first = messages.decode_server_message(await socket.recv())
    except TimeoutError:
        await socket.close()
        raise _TryAgainError(
            f"expected `ready` within {_READY_S:g} s, got nothing; is this an emostream server?"
        ) from None
    except BaseException:
        socket.transport.abort()  # nobody else knows of it
        raise
    if isinstance(first, messages.Ready):
        return first
    await socket.close()
    if not isinstance(first, messages.Error):
        raise ConnectError(f"expected `ready` as the first event, got {type(first).__name__}")
    refused = f"the server refused ({first.code}): {first.message}"
    if first.retry_after_ms is not None:
        raise _TryAgainError(refused, first.retry_after_ms / 1_000)
    raise ConnectError(refused)


def _how_it_ended(error: ConnectionClosed) -> str:
    if error.rcvd is None:
        return "got a connection that broke; is the server still running?"
    return f"got close code {error.rcvd.code} {error.rcvd.reason}".rstrip()
