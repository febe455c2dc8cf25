"""Others who hear what a session hears; among them what keeps a stream's last seconds, for those who want to
hear an utterance again.
"""

from __future__ import annotations

import io
import wave
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from ..config import SAMPLE_RATE_HZ
from .frontend import AudioFrontend, Samples, to_int16
from .sources import AudioGap, Item, Pcm, Source

MAX_WAV_MS: Final = 60_000
"""Of one WAV: more is fetched piece by piece, so that no answer holds up the streams."""


class TeeSource:
    """A source whose items go to `taps` first."""

    def __init__(self, source: Source, taps: Sequence[Callable[[Item], None]]) -> None:
        self._source = source
        self._taps = taps

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
            for tap in self._taps:
                tap(item)
            yield item


class AudioRingBuffer:
    """The last `seconds` of a stream's sound as the models hear it (mono, 16 kHz), on its clock, in memory
    alone: 115 MB an hour. Lost sound is silence.
    """

    def __init__(self, seconds: int, sample_rate_hz: int, channels: int) -> None:
        self._chain = AudioFrontend(sample_rate_hz, channels)
        self._capacity = seconds * SAMPLE_RATE_HZ
        # By the second, so that a span is found at once however much there is.
        self._seconds: dict[int, npt.NDArray[np.int16]] = {}
        self._first = 0  # behind a hole nothing older is kept
        self._end = 0

    @property
    def capacity_ms(self) -> int:
        return self._capacity * 1_000 // SAMPLE_RATE_HZ

    @property
    def span_ms(self) -> tuple[int, int]:
        """From when to when there is sound."""
        return _ms(max(self._first, self._end - self._capacity)), _ms(self._end)

    def take(self, item: Item) -> None:
        """A tap."""
        if isinstance(item, Pcm):
            self._keep(self._chain.push(item.block).ravel())
        elif isinstance(item, AudioGap):
            self._keep(self._chain.drain().ravel())
            lost = item.ms * SAMPLE_RATE_HZ // 1_000
            shown = min(lost, self._capacity)
            self._skip(lost - shown)
            self._keep(self._chain.silence(shown).ravel())

    def wav(self, from_ms: int, to_ms: int) -> tuple[int, bytes] | None:
        """What is kept of this span, 16 bit: the millisecond at which it begins, and the file. None where
        nothing is.
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
        """A hole longer than what is kept leaves nothing in front of it."""
        if samples:
            self._seconds.clear()
            self._end += samples
            self._first = self._end

    def _keep(self, samples: Samples) -> None:
        integers, done = to_int16(samples), 0
        for second, start, end in _by_second(self._end, self._end + len(samples)):
            held = self._seconds.setdefault(second, np.zeros(SAMPLE_RATE_HZ, np.int16))
            held[start:end] = integers[done : done + end - start]
            done += end - start
        self._end += len(samples)
        while self._seconds and (oldest := next(iter(self._seconds))) < (self._end - self._capacity) // (
            SAMPLE_RATE_HZ
        ):
            del self._seconds[oldest]


def _by_second(first: int, last: int) -> Iterator[tuple[int, int, int]]:
    """A span of samples -> the seconds it lies in, and from where to where in each."""
    for second in range(first // SAMPLE_RATE_HZ, -(-last // SAMPLE_RATE_HZ)):
        begins = second * SAMPLE_RATE_HZ
        yield second, max(0, first - begins), min(SAMPLE_RATE_HZ, last - begins)


def _ms(samples: int) -> int:
    return samples * 1_000 // SAMPLE_RATE_HZ
