"""Sanitizing of audio before decoding, and a check whether it holds any sound."""

from __future__ import annotations

from typing import Final

import numpy as np

from .types import SAMPLE_RATE_HZ, Samples

_MIN_SAMPLES: Final = SAMPLE_RATE_HZ * 26 // 1000
_QUANTIZATION_STEP: Final = 2.0**-15


def sanitize_samples(samples: Samples) -> Samples:
    """(N,) samples clipped to [-1, 1]: NaN becomes 0, infinities full scale. The input is not modified."""
    finite = np.nan_to_num(samples, nan=0.0, posinf=1.0, neginf=-1.0)
    return np.clip(finite, -1.0, 1.0).astype(np.float32)


def is_audible(samples: Samples) -> bool:
    """Whether sanitized samples hold sound: at least 26 ms (PocketSphinx's analysis window, the longest here)
    and one step of 16-bit audio. On digital silence decoders hallucinate words."""
    return len(samples) >= _MIN_SAMPLES and float(np.abs(samples).max()) >= _QUANTIZATION_STEP
