"""Sound as decoders can bear it."""

from __future__ import annotations

from typing import Final

import numpy as np

from .types import SAMPLE_RATE_HZ, Samples

_SHORTEST_SAMPLES: Final = SAMPLE_RATE_HZ * 26 // 1000
_ONE_STEP: Final = 2.0**-15


def sanitize_samples(samples: Samples) -> Samples:
    """(N,) samples in [-1, 1]: NaN becomes silence, infinities full scale. The input is left as it was."""
    finite = np.nan_to_num(samples, nan=0.0, posinf=1.0, neginf=-1.0)
    return np.clip(finite, -1.0, 1.0).astype(np.float32)


def is_audible(samples: Samples) -> bool:
    """Whether there is anything to hear in bounded samples: 26 ms (PocketSphinx's analysis window, the
    longest here) and one step of 16-bit sound. Given digital silence, decoders write words all the same."""
    return len(samples) >= _SHORTEST_SAMPLES and float(np.abs(samples).max()) >= _ONE_STEP
