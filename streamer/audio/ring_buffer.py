"""The last seconds of a stream's audio, so that subscribers can replay an utterance."""

from __future__ import annotations

import io
import wave
from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

from ..config import SAMPLE_RATE_HZ
from .frontend import AudioFrontend, Samples, to_int16
from .sources import AudioGap, Item, Pcm

MAX_WAV_MS: Final = 60_000
"""Of one WAV: longer spans are fetched in pieces, so that no response delays the streams."""


class AudioRingBuffer:
    """The last `seconds` of a stream's audio as the models get it (mono, 16 kHz), on the stream's clock. In
    memory only: 115 MB an hour. Audio gaps are silence.
    """

    def __init__(self, seconds: int, sample_rate_hz: int, channels: int) -> None:
        self._frontend = AudioFrontend(sample_rate_hz, channels)
        self._capacity = seconds * SAMPLE_RATE_HZ
        # By the second, so that finding a span takes the same time however much there is.
        self._seconds: dict[int, npt.NDArray[np.int16]] = {}
        self._first = 0  # nothing older is kept, see `_skip`
        self._end = 0

    @property
    def capacity_ms(self) -> int:
        return self._capacity * 1_000 // SAMPLE_RATE_HZ

    @property
    def span_ms(self) -> tuple[int, int]:
        """The first and the last millisecond that is kept."""
        return _ms(max(self._first, self._end - self._capacity)), _ms(self._end)

    def add(self, item: Item) -> None:
        """To be called with each item of the source, see `TeeSource`."""
        if isinstance(item, Pcm):
            self._keep(self._frontend.push(item.block).ravel())
        elif isinstance(item, AudioGap):
            self._keep(self._frontend.drain().ravel())
            gap = item.ms * SAMPLE_RATE_HZ // 1_000
            kept = min(gap, self._capacity)
            self._skip(gap - kept)
            self._keep(self._frontend.silence(kept).ravel())

    def wav(self, from_ms: int, to_ms: int) -> tuple[int, bytes] | None:
        """What is kept of this span as 16-bit WAV: the millisecond at which it begins, and the file. None
        where nothing is kept.
        """
        kept_from, kept_to = self.span_ms
        from_ms, to_ms = max(from_ms, kept_from), min(to_ms, kept_to, from_ms + MAX_WAV_MS)
        if from_ms >= to_ms:
            return None
        first, last = (ms * SAMPLE_RATE_HZ // 1_000 for ms in (from_ms, to_ms))
        file = io.BytesIO()
        with wave.open(file, "wb") as out:
            out.setnchannels(1)
            out.setsampwidth(2)
            out.setframerate(SAMPLE_RATE_HZ)
            for second, start, end in _by_second(first, last):
                out.writeframes(self._seconds[second][start:end].astype("<i2", copy=False).tobytes())
        return from_ms, file.getvalue()

    def _skip(self, samples: int) -> None:
        """For a gap longer than the buffer: nothing before it is kept."""
        if samples:
            self._seconds.clear()
            self._end += samples
            self._first = self._end

    def _keep(self, samples: Samples) -> None:
        integers, done = to_int16(samples), 0
        for second, start, end in _by_second(self._end, self._end + len(samples)):
            kept = self._seconds.setdefault(second, np.zeros(SAMPLE_RATE_HZ, np.int16))
            kept[start:end] = integers[done : done + end - start]
            done += end - start
        self._end += len(samples)
        while self._seconds and (oldest := next(iter(self._seconds))) < (self._end - self._capacity) // (
            SAMPLE_RATE_HZ
        ):
            del self._seconds[oldest]


def _by_second(first: int, last: int) -> Iterator[tuple[int, int, int]]:
    """A span of samples -> the seconds that it covers, with its first and last sample in each."""
    for second in range(first // SAMPLE_RATE_HZ, -(-last // SAMPLE_RATE_HZ)):
        offset = second * SAMPLE_RATE_HZ
        yield second, max(0, first - offset), min(SAMPLE_RATE_HZ, last - offset)


def _ms(samples: int) -> int:
    return samples * 1_000 // SAMPLE_RATE_HZ
