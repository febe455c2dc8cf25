"""A results file that is written incrementally, through a sink per recording."""

from __future__ import annotations

from collections.abc import Callable
from io import TextIOWrapper
from typing import BinaryIO, Protocol, TextIO

from ..pipeline.session import Sink
from ..protocol import messages


class Document(Protocol):
    """Writes results to a file that its caller has opened, and closes after `close`."""

    def add(self, recording: str) -> Sink:
        """The sink of another recording. recording: its name in the results."""
        ...

    def close(self) -> None:
        """Write what is buffered and the end of the file. No sink takes events afterwards."""
        ...


class TextDocument:
    """UTF-8 text, flushed line by line. head: the beginning of the file."""

    def __init__(self, out: BinaryIO, head: str, sink: Callable[[TextIO, str], Sink]) -> None:
        self._text = TextIOWrapper(out, encoding="utf-8", newline="", line_buffering=True)
        self._sink = sink
        self._text.write(head)

    def add(self, recording: str) -> Sink:
        return self._sink(self._text, recording)

    def close(self) -> None:
        self._text.detach()


class FinalsSink:
    """Base class of sinks that write final results only: no utterance without an emotion."""

    async def send(self, event: messages.ServerEvent) -> None:
        if isinstance(event, messages.Emotion) and event.final:
            self.write(event)
        elif isinstance(event, messages.Closed):
            self.end(event.totals.audio_ms)

    def write(self, event: messages.Emotion) -> None:
        raise NotImplementedError

    def end(self, audio_ms: int) -> None:
        pass
