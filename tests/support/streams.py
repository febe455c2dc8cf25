"""A source and a sink that are lists, and what tests look for among the events of a stream."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import msgspec

from emostream.streamer.audio.sources import Item
from emostream.streamer.errors import SourceError
from emostream.streamer.protocol import messages


class ListSource:
    """Yields the given items, and then raises the given error."""

    sample_rate_hz = 16_000
    channels = 1

    def __init__(self, items: Sequence[Item], error: SourceError | None = None) -> None:
        self._items = items
        self._error = error

    async def items(self) -> AsyncIterator[Item]:
        for item in self._items:
            yield item
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        self._items = ()


class ListSink:
    """Keeps the events."""

    def __init__(self) -> None:
        self.events: list[messages.ServerEvent] = []

    async def send(self, event: messages.ServerEvent) -> None:
        self.events.append(event)


def kinds(events: Sequence[object]) -> list[str]:
    """The names of their types."""
    return [type(event).__name__ for event in events]


def finals(events: Sequence[messages.ServerEvent]) -> list[messages.Emotion]:
    return [event for event in events if isinstance(event, messages.Emotion) and event.final]


def comparable(events: Sequence[messages.ServerEvent]) -> list[bytes]:
    """The start and the result of every utterance without what may differ from run to run, in their order."""
    compared = []
    for event in events:
        if isinstance(event, messages.SpeechStarted | messages.NoEmotion) or (
            isinstance(event, messages.Emotion) and event.final
        ):
            fields = msgspec.to_builtins(event)
            fields.pop("seq")
            fields.pop("timing", None)
            compared.append((event.utterance, type(event).__name__, msgspec.json.encode(fields)))
    return [encoded for _, _, encoded in sorted(compared)]
