"""A waveform as a picture needs it: the least and greatest sample of every stretch, in constant memory."""

from __future__ import annotations

from typing import Final

import numpy as np

from .frontend import Samples

_BINS: Final = 8_192
_FINEST_S: Final = 0.001


class WaveformEnvelope:
    """Bins of a millisecond at first, twice as long each time they are all full: of a recording longer than
    eight seconds there are always more than 4096.
    """

    def __init__(self) -> None:
        self._rate_hz = 0
        self._width = 1  # of a bin, in samples
        self._heard = 0
        self._low = np.full(_BINS, np.inf, np.float32)
        self._high = np.full(_BINS, -np.inf, np.float32)

    @property
    def seconds(self) -> float:
        """Heard so far."""
        return self._heard / self._rate_hz if self._heard else 0.0

    def push(self, block: Samples, sample_rate_hz: int) -> None:
        """block: (n, channels) float32, drawn as their mean; what is no number as silence. The rate stays."""
        if not len(block):
            return
        if not self._heard:
            self._rate_hz = sample_rate_hz
            self._width = max(1, round(sample_rate_hz * _FINEST_S))
        with np.errstate(over="ignore", invalid="ignore"):
            mono = np.nan_to_num(block.mean(axis=1), nan=0.0, posinf=0.0, neginf=0.0)
        end = self._heard + len(mono)
        while end > _BINS * self._width:
            self._fold()
        bins = np.arange(self._heard // self._width, (end - 1) // self._width + 1)
        starts = np.maximum(bins * self._width - self._heard, 0)
        self._low[bins] = np.minimum(self._low[bins], np.minimum.reduceat(mono, starts))
        self._high[bins] = np.maximum(self._high[bins], np.maximum.reduceat(mono, starts))
        self._heard = end

    def _fold(self) -> None:
        self._low[: _BINS // 2] = self._low.reshape(-1, 2).min(axis=1)
        self._high[: _BINS // 2] = self._high.reshape(-1, 2).max(axis=1)
        self._low[_BINS // 2 :] = np.inf
        self._high[_BINS // 2 :] = -np.inf
        self._width *= 2

    def columns(self, most: int) -> tuple[Samples, Samples, Samples]:
        """Edges of columns in seconds, (n + 1,), and the least and greatest sample of each, (n,) and (n,);
        n is at most `most`, and no more than there are bins.
        """
        full = -(-self._heard // self._width)
        count = min(most, full)
        if not count:
            return np.zeros(1, np.float32), np.zeros(0, np.float32), np.zeros(0, np.float32)
        edges = np.linspace(0, full, count + 1).astype(int)
        seconds = np.minimum(edges * self._width, self._heard) / self._rate_hz
        low = np.minimum.reduceat(self._low, edges[:-1])
        high = np.maximum.reduceat(self._high, edges[:-1])
        return seconds.astype(np.float32), low, high
