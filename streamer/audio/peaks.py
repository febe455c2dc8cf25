"""The waveform of a stream as a page draws it: how loud each moment is, a byte each, and no sound."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from .frontend import Samples
from .sources import AudioGap, Item, Pcm

FINE_MS: Final = 20
COARSE_MS: Final = 200
"""Of what lies further back than FINE_SPAN_MS: a minute of it is still three hundred bars."""

FINE_SPAN_MS: Final = 10 * 60_000
SPAN_MS: Final = 24 * 3_600_000
NEWS_MS: Final = 100
"""So much at least is waited for: ten messages a second."""

_RATIO: Final = COARSE_MS // FINE_MS
_FINE: Final = FINE_SPAN_MS // FINE_MS
_COARSE: Final = SPAN_MS // COARSE_MS


@dataclass(frozen=True, slots=True)
class Peaks:
    """values: a byte for each `step_ms` from `from_ms` on, 255 times the root of the loudest sample."""

    from_ms: int
    step_ms: int
    values: bytes

    @property
    def end_ms(self) -> int:
        return self.from_ms + self.step_ms * len(self.values)


class PeakHistory:
    """The loudest sample of every FINE_MS of the last ten minutes or more, and of every COARSE_MS of the day
    before: 432 kB a day, mixed down to one channel, on the stream's clock. Audio gaps are silence.
    """

    def __init__(self, sample_rate_hz: int) -> None:
        self._rate_hz = sample_rate_hz
        self._received = 0  # sample frames
        self._last = 0.0  # the loudest of the step in progress
        self._fine = bytearray()
        self._fine_from = 0  # number of its first step; a multiple of _RATIO
        self._coarse = bytearray()  # of all steps that are complete
        self._coarse_from = 0
        self._ended = False
        self._news = asyncio.Event()

    @property
    def ended(self) -> bool:
        return self._ended

    @property
    def end_ms(self) -> int:
        """Of the last complete step."""
        return (self._fine_from + len(self._fine)) * FINE_MS

    def add(self, item: Item) -> None:
        """To be called with each item of the source, see `TeeSource`."""
        if isinstance(item, Pcm):
            self._push(item.block)
        elif isinstance(item, AudioGap):
            self._skip(item.ms * self._rate_hz // 1_000)

    def end(self) -> None:
        """Nothing follows: the step in progress is complete, and nobody waits any longer."""
        if self._ended:
            return
        self._ended = True
        if self._received > self._samples(self._step(self._received)):
            self._append(np.array([self._last]))
        self._news.set()

    def after(self, from_ms: int) -> Iterator[Peaks]:
        """All from the step of this moment on, the coarse ones first. Nothing where there is none so far."""
        fine_from_ms = self._fine_from * FINE_MS
        if from_ms < fine_from_ms:
            first = max(self._coarse_from, from_ms // COARSE_MS)
            last = fine_from_ms // COARSE_MS
            values = bytes(self._coarse[first - self._coarse_from : last - self._coarse_from])
            yield Peaks(first * COARSE_MS, COARSE_MS, values)
        first = max(self._fine_from, from_ms // FINE_MS)
        if values := bytes(self._fine[first - self._fine_from :]):
            yield Peaks(first * FINE_MS, FINE_MS, values)

    async def wait(self, from_ms: int) -> None:
        """Return when there are NEWS_MS after this moment, or no more to come."""
        while not self._ended and self.end_ms < from_ms + NEWS_MS:
            news = self._news
            await news.wait()

    def _push(self, block: Samples) -> None:
        """block: (n, channels). NaN and infinity count as silence."""
        if not len(block):
            return
        with np.errstate(over="ignore", invalid="ignore"):
            levels = np.abs(np.nan_to_num(block.mean(axis=1), nan=0.0, posinf=0.0, neginf=0.0))
        end = self._received + len(levels)
        first, last = self._step(self._received), self._step(end - 1)
        starts = [max(0, self._samples(step) - self._received) for step in range(first, last + 1)]
        peaks = np.maximum.reduceat(levels, starts)
        peaks[0] = max(peaks[0], self._last)
        self._received = end
        complete = self._step(end) - first
        self._last = float(peaks[-1]) if complete < len(peaks) else 0.0
        self._append(peaks[:complete])

    def _skip(self, samples: int) -> None:
        first = self._step(self._received)
        self._received += samples
        complete = self._step(self._received) - first
        while complete > 0:
            silence = np.zeros(min(complete, _FINE))
            silence[0] = self._last
            self._last = 0.0
            complete -= len(silence)
            self._append(silence)

    def _append(self, peaks: npt.NDArray[np.floating]) -> None:
        if not len(peaks):
            return
        self._fine += np.round(255 * np.sqrt(np.minimum(peaks, 1.0))).astype(np.uint8).tobytes()
        self._summarize()
        news, self._news = self._news, asyncio.Event()
        news.set()

    def _summarize(self) -> None:
        """Make coarse steps of fine ones, and forget what is too old."""
        done = self._coarse_from + len(self._coarse)
        complete = (self._fine_from + len(self._fine)) // _RATIO
        if complete > done:
            at = done * _RATIO - self._fine_from
            steps = np.frombuffer(bytes(self._fine[at : at + (complete - done) * _RATIO]), np.uint8)
            self._coarse += steps.reshape(-1, _RATIO).max(axis=1).tobytes()
        # A tenth at a time: removing the head of an array costs its length.
        if len(self._fine) > _FINE * 11 // 10:
            surplus = (len(self._fine) - _FINE) // _RATIO * _RATIO
            del self._fine[:surplus]
            self._fine_from += surplus
        if len(self._coarse) > _COARSE * 11 // 10:
            surplus = len(self._coarse) - _COARSE
            del self._coarse[:surplus]
            self._coarse_from += surplus

    def _step(self, samples: int) -> int:
        """The number of the fine step in which this sample frame lies."""
        return samples * 1_000 // (self._rate_hz * FINE_MS)

    def _samples(self, step: int) -> int:
        """The first sample frame of a fine step."""
        return -(-step * self._rate_hz * FINE_MS // 1_000)
