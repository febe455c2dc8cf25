"""A session without a socket: the server's own, fed and read in its event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from emostream.streamer.clock import Clock
from emostream.streamer.config import Settings
from emostream.streamer.errors import EmostreamError
from emostream.streamer.inference.backend import InferenceBackend
from emostream.streamer.pipeline.event_log import EventLog
from emostream.streamer.protocol import messages
from emostream.streamer.server.session_factory import create_session


class LocalSession:
    """Raises BadStartError and ConfigError for a start that these settings do not take."""

    def __init__(
        self, start: messages.Start, settings: Settings, engine: InferenceBackend, clock: Clock
    ) -> None:
        self._events = EventLog.with_random_id()
        self._session, self._source = create_session(start, self._events, settings, engine, clock)
        self._max_unacked = settings.server.max_unacked_ms * start.sample_rate // 1_000
        self._part_bytes = messages.SAMPLE_BYTES[start.encoding] * start.channels * start.sample_rate
        self._credit = asyncio.Event()
        self._ended = False

    async def feed(self, data: bytes) -> None:
        """Waits while the session has enough to do."""
        for first in range(0, len(data), self._part_bytes):
            while not self._ended and self._unacked >= self._max_unacked:
                self._credit.clear()
                await self._credit.wait()
            self._source.feed(data[first : first + self._part_bytes])

    @property
    def _unacked(self) -> int:
        return self._source.received_samples - self._source.acknowledged_samples

    async def handle(self, message: messages.Gap | messages.Flush | messages.Stop) -> None:
        self._source.handle(message)

    async def run(self, deliver: Callable[[messages.ServerEvent], Awaitable[None]]) -> None:
        """Every event up to `closed`, which also tells of a source that fails."""
        running = asyncio.create_task(self._session.run(), name="session")
        running.add_done_callback(lambda _: self._events.wake_readers())
        try:
            with self._events.reader(policy="block") as reader:
                while not reader.ended:
                    self._credit.set()  # each ack wakes the readers
                    event = reader.pop()
                    if event is not None:
                        await deliver(event)
                    elif running.done():
                        break
                    else:
                        await reader.wait()
            try:
                await running
            except EmostreamError:
                return  # it was the last `error` event
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            self._ended = True
            self._credit.set()
