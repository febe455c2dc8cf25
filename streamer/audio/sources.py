"""Audio sources. A source yields items; a session turns them into events."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from ..clock import Clock
from .decode import AudioFile
from .frontend import Samples

BLOCK_MS = 100
_READ_S = 4.0  # of a file at once: passing a packet between threads costs more than decoding it


@dataclass(frozen=True, slots=True, eq=False)
class Pcm:
    """block: (n, channels) float32 at the source's rate."""

    block: Samples


@dataclass(frozen=True, slots=True)
class AudioGap:
    """Audio that was lost before it arrived: the audio clock moves on by `ms`."""

    ms: int
    reason: str


@dataclass(frozen=True, slots=True)
class Flush:
    """End the utterance in progress here."""


@dataclass(frozen=True, slots=True)
class SourceWarning:
    """A problem that does not end the stream: it becomes an `error` event."""

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
        """Raises SourceError where the audio ends early."""
        ...

    def stop(self) -> None:
        """Let `items` end soon, as if the audio were over."""
        ...


class FileSource:
    """A recording, at full speed or, with a clock, in real time.

    In real time, a block is yielded at the moment when its last sample would have been recorded, in pieces
    of at most 100 ms, as from a microphone.
    """

    def __init__(self, path: Path, *, pace: Clock | None = None) -> None:
        self._file = AudioFile(path)
        self._read_lock = threading.Lock()
        self._closed = False
        self._pace = pace
        self._stopped = asyncio.Event()

    @property
    def sample_rate_hz(self) -> int:
        return self._file.sample_rate_hz

    @property
    def channels(self) -> int:
        return self._file.channels

    def stop(self) -> None:
        self._stopped.set()

    async def items(self) -> AsyncIterator[Item]:
        try:
            async for block in self._paced(self._file.blocks(_READ_S)):
                yield Pcm(block)
        finally:
            with self._read_lock:  # a thread may still read, though its caller was cancelled
                self._closed = True
                self._file.close()

    def _read(self, blocks: Iterator[Samples]) -> Samples | None:
        with self._read_lock:
            return None if self._closed else next(blocks, None)

    async def _paced(self, blocks: Iterator[Samples]) -> AsyncIterator[Samples]:
        pacer = None if self._pace is None else Pacer(self._pace, self.sample_rate_hz, self._stopped)
        while not self._stopped.is_set():
            block = await asyncio.to_thread(self._read, blocks)  # a read would block the event loop
            if block is None:
                return
            if pacer is None:
                yield block
                continue
            async for piece in pacer.pieces(block):
                yield piece


class LoopSource:
    """A recording again and again in real time, with silence between the rounds."""

    def __init__(self, path: Path, *, pace: Clock, pause_s: float, rounds: int | None = None) -> None:
        self._path = path
        self._pace = pace
        self._pause_s = pause_s
        self._rounds = rounds
        self._stopped = asyncio.Event()
        file = AudioFile(path)
        self.sample_rate_hz = file.sample_rate_hz
        self.channels = file.channels
        file.close()

    def stop(self) -> None:
        self._stopped.set()

    async def items(self) -> AsyncIterator[Item]:
        pacer = Pacer(self._pace, self.sample_rate_hz, self._stopped)
        silence = np.zeros((round(self._pause_s * self.sample_rate_hz), self.channels), np.float32)
        rounds = 0
        while not self._stopped.is_set() and rounds != self._rounds:
            file = AudioFile(self._path)
            try:
                # Some seconds of audio, decoded in milliseconds: not worth a thread.
                for block in file.blocks():
                    async for piece in pacer.pieces(block):
                        yield Pcm(piece)
            finally:
                file.close()
            rounds += 1
            if rounds != self._rounds:
                async for piece in pacer.pieces(silence):
                    yield Pcm(piece)


class Pacer:
    """Releases audio in real time."""

    def __init__(self, clock: Clock, sample_rate_hz: int, stopped: asyncio.Event) -> None:
        self._clock = clock
        self._rate_hz = sample_rate_hz
        self._stopped = stopped
        self._started_at = clock.now()
        self._released = 0  # samples

    async def pieces(self, block: Samples) -> AsyncIterator[Samples]:
        """(n, channels) -> pieces of at most 100 ms, each at its time; ends early when stopped."""
        size = self._rate_hz * BLOCK_MS // 1_000
        for start in range(0, len(block), size):
            piece = block[start : start + size]
            await self._clock.sleep_until(self._started_at + (self._released + len(piece)) / self._rate_hz)
            if self._stopped.is_set():
                return
            self._released += len(piece)
            yield piece
