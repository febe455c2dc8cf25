"""A source that passes every item to callbacks before it yields it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence

from .sources import Item, Source


class TeeSource:
    """callbacks: called with each item, in order, before the session gets it."""

    def __init__(self, source: Source, callbacks: Sequence[Callable[[Item], None]]) -> None:
        self._source = source
        self._callbacks = callbacks

    @property
    def sample_rate_hz(self) -> int:
        return self._source.sample_rate_hz

    @property
    def channels(self) -> int:
        return self._source.channels

    def stop(self) -> None:
        self._source.stop()

    async def items(self) -> AsyncIterator[Item]:
        async for item in self._source.items():
            for callback in self._callbacks:
                callback(item)
            yield item
