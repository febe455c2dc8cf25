"""A file of results as it grows: begun, given a sink for every recording that goes into it, and closed."""

from __future__ import annotations

from collections.abc import Callable
from io import TextIOWrapper
from typing import BinaryIO, Protocol, TextIO

from ..pipeline.session import Sink
from ..protocol import messages


class Document(Protocol):
    """Whoever opened the file closes it, behind `close`."""

    def add(self, recording: str) -> Sink:
        """One more recording, by the name that the results give it."""
        ...

    def close(self) -> None:
        """Write what is still held and what the file ends with. No sink takes events behind it."""
        ...


class TextDocument:
    """UTF-8, every line out as soon as it is whole. head: what the file begins with."""

    def __init__(self, out: BinaryIO, head: str, sink: Callable[[TextIO, str], Sink]) -> None:
        self._text = TextIOWrapper(out, encoding="utf-8", newline="", line_buffering=True)
        self._sink = sink
        self._text.write(head)

    def add(self, recording: str) -> Sink:
        return self._sink(self._text, recording)

    def close(self) -> None:
        self._text.detach()


class FinalsSink:
    """Base of sinks: what becomes of the finals, and of the end."""

    async def send(self, event: messages.ServerEvent) -> None:
        if isinstance(event, messages.Emotion) and event.final:
            self.write(event)
        elif isinstance(event, messages.Closed):
            self.end(event.totals.audio_ms)

    def write(self, event: messages.Emotion) -> None:
        raise NotImplementedError

    def end(self, audio_ms: int) -> None:
        pass
