"""Where sound comes from. A source yields items; a session turns them into events."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from ..clock import Clock
from .decode import Recording
from .frontend import Samples

BLOCK_MS = 100
_READ_S = 4.0  # of a file at once: handing a packet from thread to thread costs more than decoding it


@dataclass(frozen=True, slots=True, eq=False)
class Pcm:
    """block: (n, channels) float32 at the source's rate."""

    block: Samples


@dataclass(frozen=True, slots=True)
class AudioGap:
    """Sound that never arrived: the audio clock moves on by `ms`."""

    ms: int
    reason: str


@dataclass(frozen=True, slots=True)
class Flush:
    """End the utterance in progress here."""


@dataclass(frozen=True, slots=True)
class SourceWarning:
    """Something to tell the listener that does not end the stream: becomes an `error` event."""

    code: str
    message: str


Item = Pcm | AudioGap | Flush | SourceWarning


class Source(Protocol):
    """A finite or endless stream of items, read once."""

    @property
    def sample_rate_hz(self) -> int: ...

    @property
    def channels(self) -> int: ...

    def items(self) -> AsyncIterator[Item]:
        """Raises SourceError where the sound ends before its time."""
        ...

    def stop(self) -> None:
        """Let `items` end soon, as if the sound were over."""
        ...


class FileSource:
    """A recording, at full speed or, with a clock, at its natural pace.

    Paced, a block is given out at the moment its last sample would have been spoken, in pieces of at
    most 100 ms, as a microphone would give it.
    """

    def __init__(self, path: Path, *, pace: Clock | None = None) -> None:
        self._recording = Recording(path)
        self._reading = threading.Lock()
        self._closed = False
        self._pace = pace
        self._stopped = asyncio.Event()

    @property
    def sample_rate_hz(self) -> int:
        return self._recording.sample_rate_hz

    @property
    def channels(self) -> int:
        return self._recording.channels

    def stop(self) -> None:
        self._stopped.set()

    async def items(self) -> AsyncIterator[Item]:
        try:
            async for block in self._paced(self._recording.blocks(_READ_S)):
                yield Pcm(block)
        finally:
            with self._reading:  # a thread may still read, whatever became of who waited for it
                self._closed = True
                self._recording.close()

    def _read(self, blocks: Iterator[Samples]) -> Samples | None:
        with self._reading:
            return None if self._closed else next(blocks, None)

    async def _paced(self, blocks: Iterator[Samples]) -> AsyncIterator[Samples]:
        pacer = None if self._pace is None else Pacer(self._pace, self.sample_rate_hz, self._stopped)
        while not self._stopped.is_set():
            block = await asyncio.to_thread(self._read, blocks)  # the disk is not for the event loop
            if block is None:
                return
            if pacer is None:
                yield block
                continue
            async for piece in pacer.pieces(block):
                yield piece


class LoopSource:
    """A recording again and again at its natural pace, with silence between the rounds."""

    def __init__(self, path: Path, *, pace: Clock, pause_s: float, rounds: int | None = None) -> None:
        self._path = path
        self._pace = pace
        self._pause_s = pause_s
        self._rounds = rounds
        self._stopped = asyncio.Event()
        first = Recording(path)
        self.sample_rate_hz = first.sample_rate_hz
        self.channels = first.channels
        first.close()

    def stop(self) -> None:
        self._stopped.set()

    async def items(self) -> AsyncIterator[Item]:
        pacer = Pacer(self._pace, self.sample_rate_hz, self._stopped)
        silence = np.zeros((round(self._pause_s * self.sample_rate_hz), self.channels), np.float32)
        done = 0
        while not self._stopped.is_set() and done != self._rounds:
            recording = Recording(self._path)
            try:
                # Some seconds of sound, decoded in milliseconds: not worth a thread's hand-over.
                for block in recording.blocks():
                    async for piece in pacer.pieces(block):
                        yield Pcm(piece)
            finally:
                recording.close()
            done += 1
            if done != self._rounds:
                async for piece in pacer.pieces(silence):
                    yield Pcm(piece)


class Pacer:
    """Gives sound out at the speed at which it was spoken."""

    def __init__(self, clock: Clock, sample_rate_hz: int, stopped: asyncio.Event) -> None:
        self._clock = clock
        self._rate_hz = sample_rate_hz
        self._stopped = stopped
        self._began = clock.now()
        self._given = 0

    async def pieces(self, block: Samples) -> AsyncIterator[Samples]:
        """(n, channels) -> pieces of at most 100 ms, each at its time; ends early when stopped."""
        size = self._rate_hz * BLOCK_MS // 1_000
        for start in range(0, len(block), size):
            piece = block[start : start + size]
            await self._clock.sleep_until(self._began + (self._given + len(piece)) / self._rate_hz)
            if self._stopped.is_set():
                return
            self._given += len(piece)
            yield piece
