"""Results of recordings that are replayed side by side, one recording after the other in one file."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from ..display_paths import printable
from ..output.document import Document
from ..pipeline.session import Sink
from ..protocol import messages
from .discovery import ReplayJob
from .outputs import ReplayOutcome


@dataclass(slots=True, eq=False)
class _Recording:
    """sink: None before its turn. waiting: events that came before it."""

    name: str
    sink: Sink | None = None
    waiting: deque[messages.ServerEvent] = field(default_factory=deque)
    ended: bool = False


class OrderedSinks:
    """In the order in which the recordings were begun, whichever ends first.

    The events of the first one are written as they come, those of later ones wait in memory, which they fill
    slowly: an hour of speech has about a megabyte of them.
    """

    def __init__(self, document: Document) -> None:
        self._document = document
        self._recordings: deque[_Recording] = deque()
        self._writing = asyncio.Lock()

    @asynccontextmanager
    async def open(self, job: ReplayJob, outcome: ReplayOutcome) -> AsyncIterator[Sink]:
        """See `outputs.SinkFactory`."""
        recording = _Recording(printable(job.path))
        self._recordings.append(recording)
        try:
            yield _WaitingSink(self, recording)
        finally:
            recording.ended = True
            await self.write()

    async def write(self) -> None:
        """What may be written now: the first recording so far, and those behind it once it has ended."""
        async with self._writing:
            while self._recordings:
                first = self._recordings[0]
                if first.sink is None:
                    first.sink = self._document.add(first.name)
                while first.waiting:
                    await first.sink.send(first.waiting.popleft())
                if not first.ended:
                    return
                self._recordings.popleft()


@dataclass(frozen=True, slots=True)
class _WaitingSink:
    sinks: OrderedSinks
    recording: _Recording

    async def send(self, event: messages.ServerEvent) -> None:
        self.recording.waiting.append(event)
        await self.sinks.write()
