"""Made-up signals of which everything is known, and what is measured of two of them."""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy.signal import correlate

from emostream.models import Samples

SECOND: Final = 16_000


def sine(hertz: float, seconds: float = 2.0) -> Samples:
    return np.sin(2 * np.pi * hertz * np.arange(int(seconds * SECOND)) / SECOND).astype(np.float32)


def voice(seconds: float = 2.0) -> Samples:
    """Nineteen harmonics of a gliding pitch, in syllables: like nothing but itself at any other delay."""
    time = np.arange(int(seconds * SECOND)) / SECOND
    turns = np.cumsum(110 + 40 * np.sin(2 * np.pi * 0.7 * time)) / SECOND
    buzz = sum(np.sin(2 * np.pi * k * turns) / k for k in range(1, 20))
    return (0.2 * np.abs(np.sin(2 * np.pi * 2.5 * time)) * buzz).astype(np.float32)


def ratio_db(signal: Samples, error: Samples) -> float:
    return float(10 * np.log10((signal.astype(np.float64) ** 2).mean() / (error**2).mean()))


def lag(delayed: Samples, clip: Samples) -> int:
    """Samples by which `delayed` is behind."""
    return int(correlate(delayed, clip).argmax()) - (len(clip) - 1)
