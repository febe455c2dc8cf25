"""Float samples beyond full scale: how far, and what to divide them by.

A peak counts where it lasts for 60 ms: one broken sample among good ones is clipped, and makes no stream or
file silent. Values that are no level at all are the concern of `misread_samples`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final

import numpy as np

from .frontend import Samples, peak

LIMIT: Final = 2.0
"""Times full scale. What is louder is scaled; up to it, samples clip as those of a loud recording do."""
_WINDOW_S: Final = 0.02
_LASTING: Final = 3  # windows
_GLITCH: Final = 8.0
"""Times the lasting peak: what is louder is no part of the sound."""
_HEADROOM: Final = 4.0
_INTEGER_SCALES: Final = (2.0**15, 2.0**23, 2.0**31)
_INTEGERS_FROM: Final = 512.0
"""Times full scale. Beyond that, samples are integers that were converted without being scaled."""


class PeakMeter:
    """The highest peak that lasts, over all channels, however the audio is cut into blocks."""

    def __init__(self, sample_rate_hz: int) -> None:
        self.window = max(1, round(_WINDOW_S * sample_rate_hz))
        self.lasting = 0.0
        self._peak = 0.0
        self._filled = 0
        self._last: deque[float] = deque([0.0] * _LASTING, maxlen=_LASTING)

    @property
    def room(self) -> int:
        """Samples up to the end of the present window."""
        return self.window - self._filled

    def skip(self, samples: int) -> bool:
        """Go on over samples within the limit. False, and nothing done, if the present window was louder."""
        if not self._peak <= LIMIT:
            return False
        completed, self._filled = divmod(self._filled + samples, self.window)
        if completed:
            self._peak = 0.0
            self._last.extend([0.0] * min(completed, _LASTING))
        return True

    def add(self, piece: Samples) -> float | None:
        """piece: (n, channels), at most `room` samples. The peak of the window that it completes, if any."""
        levels = np.abs(piece)
        peak = float(levels.max(initial=0.0))
        # Of what is no level nothing counts: a window of such samples says nothing of the sound.
        self._peak = max(self._peak, peak) if peak <= _INTEGER_SCALES[-1] else np.inf
        self._filled += len(piece)
        if self._filled < self.window:
            return None
        completed = self._peak
        self._last.append(completed if np.isfinite(completed) else 0.0)
        self.lasting = max(self.lasting, min(self._last))
        self._peak, self._filled = 0.0, 0
        return completed


class StreamScale:
    """Divides the samples of a stream whose peak is not known yet.

    divisor: 1 until a peak beyond the limit has lasted; then a power of two with room above it, so that it
    rarely rises again. Every sample is divided by what the windows before its own demand: the result depends
    on the samples alone, and not on their blocks.
    """

    def __init__(self, sample_rate_hz: int) -> None:
        self._meter = PeakMeter(sample_rate_hz)
        self.divisor = 1.0

    def push(self, block: Samples) -> Samples:
        """(n, channels) -> the same, never beyond the limit; what is not finite stays."""
        if self.divisor == 1.0 and peak(block) <= LIMIT and self._meter.skip(len(block)):
            return block
        scaled = np.empty_like(block)
        first = 0
        while first < len(block):
            piece = block[first : first + self._meter.room]
            with np.errstate(invalid="ignore"):  # a signalling NaN
                np.divide(piece, np.float32(self.divisor), out=scaled[first : first + len(piece)])
            first += len(piece)
            if self._meter.add(piece) is not None and self._meter.lasting > max(LIMIT, self.divisor):
                self.divisor = divisor_for(self._meter.lasting)
        return np.clip(scaled, -LIMIT, LIMIT, where=np.isfinite(scaled), out=scaled)


def divisor_for(peak: float) -> float:
    """The power of two for a stream that has been as loud as `peak` so far."""
    if peak > _INTEGERS_FROM:
        return next((scale for scale in _INTEGER_SCALES if peak <= scale), _INTEGER_SCALES[-1])
    return float(_HEADROOM * 2 ** np.ceil(np.log2(peak)))


def peak_beyond_scale(blocks: Iterable[Samples], sample_rate_hz: int) -> float | None:
    """The peak of a whole recording where it is beyond the limit, without glitches far above all else."""
    meter, peaks = PeakMeter(sample_rate_hz), np.zeros(0)
    for block in blocks:
        first, found = 0, []
        while first < len(block):
            piece = block[first : first + meter.room]
            peak = meter.add(piece)
            found += [] if peak is None else [peak]
            first += len(piece)
        peaks = np.concatenate([peaks, found])
    if meter.lasting <= LIMIT:
        return None
    return float(peaks[peaks <= _GLITCH * meter.lasting].max())
