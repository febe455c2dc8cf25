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
from ..errors import SourceError
from ..protocol.error_codes import ErrorCode
from .decode import AudioFile, Gap
from .frontend import Samples
from .full_scale import peak_beyond_scale
from .memory_file import Recording

BLOCK_MS = 100
_READ_S = 4.0  # of a file at once: passing a packet between threads costs more than decoding it
_LONGEST_WAIT_S = 5.0  # for a gap
_NO_SOUND = "the recording has no sound there"


@dataclass(frozen=True, slots=True, eq=False)
class Pcm:
    """block: (n, channels) float32 at the source's rate."""

    block: Samples


@dataclass(frozen=True, slots=True)
class AudioGap:
    """Audio that was lost before it arrived, or that a recording does not have: the audio clock moves on by
    `ms`. frequent: one of many, as a codec makes that sends nothing in silence: such ones are reported
    together where they are short.
    """

    ms: int
    reason: str
    frequent: bool = False


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
    """A sound track of a recording, at full speed or, with a clock, in real time. file: its path, or itself,
    open. track: from 1.

    In real time, a block is yielded at the moment when its last sample would have been recorded, in pieces
    of at most 100 ms, as from a microphone; a gap takes its time, up to five seconds. What comes through a
    pipe is passed on as it comes. Float samples far beyond full scale are divided by their peak, which is
    looked for first, unless `as_recorded`. read_s: how much of a file is read at once.
    """

    def __init__(
        self,
        file: Path | AudioFile,
        *,
        pace: Clock | None = None,
        track: int = 1,
        as_recorded: bool = False,
        read_s: float = _READ_S,
    ) -> None:
        self._file = file if isinstance(file, AudioFile) else AudioFile(file, track=track)
        self._track = track
        self._find_peak = self._file.has_float_samples and not self._file.is_pipe and not as_recorded
        self._peak: float | None = None
        self._read_lock = threading.Lock()
        self._closed = False
        self._pace = pace
        self._read_s = BLOCK_MS / 1_000 if self._file.is_pipe else read_s
        self._stopped = asyncio.Event()

    @property
    def sample_rate_hz(self) -> int:
        return self._file.sample_rate_hz

    @property
    def channels(self) -> int:
        return self._file.channels

    def stop(self) -> None:
        self._stopped.set()
        self._interrupt()

    def _interrupt(self) -> None:
        if not self._closed:
            self._file.interrupt()

    async def items(self) -> AsyncIterator[Item]:
        pacer = None if self._pace is None else Pacer(self._pace, self.sample_rate_hz, self._stopped)
        gaps = _GapTimes(self.sample_rate_hz)
        blocks = self._file.blocks(self._read_s)
        try:
            if self._find_peak:
                self._peak = await asyncio.to_thread(_peak_of, self._file.path, self._track)
            if self._peak is not None:
                yield SourceWarning(ErrorCode.INVALID_SAMPLES, beyond_scale(self._peak))
            while not self._stopped.is_set():
                block = await asyncio.to_thread(self._read, blocks)  # a read would block the event loop
                for note in self._file.take_notes():
                    yield SourceWarning(note.code, note.message)
                if block is None:
                    return
                async for item in _items(block, gaps, pacer):
                    yield item
        finally:
            self._interrupt()
            with self._read_lock:  # a thread may still read, though its caller was cancelled
                self._closed = True
                self._file.close()

    def _read(self, blocks: Iterator[Samples | Gap]) -> Samples | Gap | None:
        with self._read_lock:
            try:
                block = None if self._closed else next(blocks, None)
            except SourceError:
                if self._file.is_pipe and self._stopped.is_set():  # it was interrupted
                    return None
                raise
        if self._peak is None or block is None or isinstance(block, Gap):
            return block
        return block / np.float32(self._peak)


async def _items(block: Samples | Gap, gaps: _GapTimes, pacer: Pacer | None) -> AsyncIterator[Item]:
    if isinstance(block, Gap):
        if pacer is not None:
            await pacer.wait(block.samples)
        yield AudioGap(gaps.ms(block.samples), _NO_SOUND, frequent=True)
    elif pacer is None:
        yield Pcm(block)
    else:
        async for piece in pacer.pieces(block):
            yield Pcm(piece)


class _GapTimes:
    """Gaps in samples -> whole milliseconds, whose rounding does not add up."""

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._samples = 0
        self._ms = 0

    def ms(self, samples: int) -> int:
        self._samples += samples
        ms = round(self._samples * 1_000 / self._rate_hz) - self._ms
        self._ms += ms
        return ms


def _peak_of(path: Recording, track: int) -> float | None:
    """The peak of a recording that is beyond full scale. Damage is reported where the samples are used."""
    file = AudioFile(path, track=track)

    def readable() -> Iterator[Samples]:
        try:
            yield from (block for block in file.blocks(_READ_S) if not isinstance(block, Gap))
        except SourceError:
            return

    try:
        return peak_beyond_scale(readable(), file.sample_rate_hz)
    finally:
        file.close()


def beyond_scale(peak: float) -> str:
    return (
        f"expected float samples from -1 to 1, got a peak of {peak:.4g}; they are divided by it, export them "
        "at full scale 1"
    )


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
            if not await self._pass(len(piece)):
                return
            yield piece

    async def wait(self, samples: int) -> None:
        """For so much time without sound, up to the longest wait; ends early when stopped."""
        left = min(samples, round(_LONGEST_WAIT_S * self._rate_hz))
        size = self._rate_hz * BLOCK_MS // 1_000
        while left and await self._pass(min(left, size)):
            left -= min(left, size)

    async def _pass(self, samples: int) -> bool:
        """False when stopped."""
        await self._clock.sleep_until(self._started_at + (self._released + samples) / self._rate_hz)
        if self._stopped.is_set():
            return False
        self._released += samples
        return True
