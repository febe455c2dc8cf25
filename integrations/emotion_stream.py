"""One voice on its way to its events: audio goes in without waiting, events come out.

A framework's audio must pass on at once, whatever the models or the network do. So what is sent waits here,
in a bounded queue; when that is full, audio is dropped, and reported as a gap: the stream's clock goes on,
and a `dropped` event says so.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager, suppress
from typing import Final, Protocol

from emostream.streamer.errors import EmostreamError
from emostream.streamer.protocol import messages

from .server_engine import ServerEngine

_MAX_WAITING_S: Final = 60
"""Audio that may wait: as long as a server takes to come back."""
_FLUSH: Final = messages.Flush()
_STOP: Final = messages.Stop()


class Connection(Protocol):
    """A session, in this process or on a server. `ClientStream` has the same methods."""

    async def send(self, data: bytes) -> None:
        """May wait. Raises EmostreamError."""
        ...

    async def gap(self, ms: int) -> None: ...

    async def flush(self) -> None: ...

    async def stop(self) -> None: ...

    def events(self) -> AsyncIterator[messages.ServerEvent]:
        """Up to and with `closed`. Raises EmostreamError."""
        ...


class Engine(Protocol):
    """Where emotions come from."""

    async def ready(self) -> None:
        """Returns when streams can be opened without a delay. Raises EmostreamError and ModelError."""
        ...

    def connect(self, start: messages.Start) -> AbstractAsyncContextManager[Connection]:
        """Open a session. Raises EmostreamError and ModelError."""
        ...


def engine_of(engine: Engine | str | None) -> Engine:
    """A server's address stands for that server, None for the models in this process, shared."""
    if engine is None:
        from .local_engine import LocalEngine  # brings numpy

        return LocalEngine.shared()
    return ServerEngine(engine) if isinstance(engine, str) else engine


class EmotionStream:
    """start: describes the audio, 16-bit. Iterate over `events` to run it; what is sent before waits."""

    def __init__(
        self, engine: Engine, start: messages.Start, *, max_waiting_s: float = _MAX_WAITING_S
    ) -> None:
        self._engine = engine
        self._start = start
        self._frame_bytes = messages.SAMPLE_BYTES[start.encoding] * start.channels
        self._max_waiting_bytes = max_waiting_s * start.sample_rate * self._frame_bytes
        self._waiting: deque[bytes | messages.Flush | messages.Stop | messages.Gap] = deque()
        self._waiting_bytes = 0
        self._dropped_bytes = 0  # not reported yet
        self._sent_bytes = 0
        self._arrived = asyncio.Event()
        self._ended = False

    @property
    def position_ms(self) -> int:
        """The clock of the stream, after all audio so far."""
        return self._ms(self._sent_bytes)

    def _ms(self, size: int) -> int:
        return size * 1_000 // (self._frame_bytes * self._start.sample_rate)

    def send(self, audio: bytes) -> None:
        """Audio in blocks of any size. After `end` it is ignored."""
        if self._ended:
            return
        self._sent_bytes += len(audio)
        if self._waiting_bytes + len(audio) > self._max_waiting_bytes:
            self._dropped_bytes += len(audio)
            return
        self._report_dropped()
        self._waiting_bytes += len(audio)
        self._put(audio)

    def flush(self) -> None:
        """End the utterance in progress here."""
        self._report_dropped()
        self._put(_FLUSH)

    def end(self) -> None:
        """No more audio: the finals follow, then `closed`."""
        if not self._ended:
            self._report_dropped()
            self._ended = True
            self._put(_STOP)

    def _report_dropped(self) -> None:
        if ms := self._ms(self._dropped_bytes):
            self._dropped_bytes = 0
            self._put(messages.Gap(ms=ms))

    def _put(self, item: bytes | messages.Flush | messages.Stop | messages.Gap) -> None:
        self._waiting.append(item)
        self._arrived.set()

    async def events(self) -> AsyncGenerator[messages.ServerEvent, None]:
        """Up to and with `closed`; to be iterated over once. Raises EmostreamError and ModelError."""
        async with self._engine.connect(self._start) as connection:
            pump = asyncio.create_task(self._pump(connection), name="emostream audio")
            try:
                async for event in connection.events():
                    yield event
                if pump.done():
                    pump.result()  # raises why not all audio was taken
            finally:
                pump.cancel()
                await asyncio.gather(pump, return_exceptions=True)

    async def _pump(self, connection: Connection) -> None:
        """Send what waits, as it comes. Where that fails the session ends, and its events with it."""
        try:
            await self._send_all(connection)
        except EmostreamError:
            with suppress(EmostreamError):
                await connection.stop()
            raise

    async def _send_all(self, connection: Connection) -> None:
        while True:
            while self._waiting:
                match self._waiting.popleft():
                    case bytes() as audio:
                        await connection.send(self._with_following(audio))
                    case messages.Gap(ms=ms):
                        await connection.gap(ms)
                    case messages.Flush():
                        await connection.flush()
                    case messages.Stop():
                        await connection.stop()
                        return
            self._arrived.clear()
            await self._arrived.wait()

    def _with_following(self, audio: bytes) -> bytes:
        """What has gathered behind it goes in one message."""
        parts = [audio]
        while self._waiting and isinstance(following := self._waiting[0], bytes):
            self._waiting.popleft()
            parts.append(following)
        joined = b"".join(parts)
        self._waiting_bytes -= len(joined)
        return joined
