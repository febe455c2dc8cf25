"""The envelope of a waveform, for plotting: the minimum and maximum of every bin, in constant memory."""

from __future__ import annotations

from typing import Final

import numpy as np

from .frontend import Samples

_BINS: Final = 8_192
_FINEST_S: Final = 0.001


class WaveformEnvelope:
    """Bins of a millisecond at first, twice as long each time they are all full: a recording longer than
    eight seconds always has more than 4096.
    """

    def __init__(self) -> None:
        self._rate_hz = 0
        self._width = 1  # of a bin, in samples
        self._received = 0
        self._low = np.full(_BINS, np.inf, np.float32)
        self._high = np.full(_BINS, -np.inf, np.float32)

    @property
    def seconds(self) -> float:
        """Received so far."""
        return self._received / self._rate_hz if self._received else 0.0

    def push(self, block: Samples, sample_rate_hz: int) -> None:
        """block: (n, channels) float32, averaged over the channels; NaN and infinity count as silence. The
        sample rate of the first block holds for all.
        """
        if not len(block):
            return
        if not self._received:
            self._begin(sample_rate_hz)
        with np.errstate(over="ignore", invalid="ignore"):
            mono = np.nan_to_num(block.mean(axis=1), nan=0.0, posinf=0.0, neginf=0.0)
        end = self._received + len(mono)
        while end > _BINS * self._width:
            self._halve_resolution()
        bins = np.arange(self._received // self._width, (end - 1) // self._width + 1)
        starts = np.maximum(bins * self._width - self._received, 0)
        self._low[bins] = np.minimum(self._low[bins], np.minimum.reduceat(mono, starts))
        self._high[bins] = np.maximum(self._high[bins], np.maximum.reduceat(mono, starts))
        self._received = end

    def skip(self, seconds: float, sample_rate_hz: int) -> None:
        """Silence of that length. sample_rate_hz: see `push`."""
        if not self._received:
            self._begin(sample_rate_hz)
        first = self._received
        self._received += round(seconds * self._rate_hz)
        while self._received > _BINS * self._width:
            self._halve_resolution()
        bins = slice(first // self._width, -(-self._received // self._width))
        self._low[bins] = np.minimum(self._low[bins], 0.0)
        self._high[bins] = np.maximum(self._high[bins], 0.0)

    def _begin(self, sample_rate_hz: int) -> None:
        self._rate_hz = sample_rate_hz
        self._width = max(1, round(sample_rate_hz * _FINEST_S))

    def _halve_resolution(self) -> None:
        self._low[: _BINS // 2] = self._low.reshape(-1, 2).min(axis=1)
        self._high[: _BINS // 2] = self._high.reshape(-1, 2).max(axis=1)
        self._low[_BINS // 2 :] = np.inf
        self._high[_BINS // 2 :] = -np.inf
        self._width *= 2

    def columns(self, limit: int) -> tuple[Samples, Samples, Samples]:
        """The edges of n columns in seconds, (n + 1,), and the minimum and maximum of each, (n,) and (n,); n
        is at most `limit`, and no more than there are bins.
        """
        bins = -(-self._received // self._width)
        count = min(limit, bins)
        if not count:
            return np.zeros(1, np.float32), np.zeros(0, np.float32), np.zeros(0, np.float32)
        edges = np.linspace(0, bins, count + 1).astype(int)
        seconds = np.minimum(edges * self._width, self._received) / self._rate_hz
        low = np.minimum.reduceat(self._low, edges[:-1])
        high = np.maximum.reduceat(self._high, edges[:-1])
        return seconds.astype(np.float32), low, high
