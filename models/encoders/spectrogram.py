"""Whisper's log-mel spectrogram of one clip, as transformers' WhisperFeatureExtractor computes it."""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt

from ..types import SAMPLE_RATE_HZ, Samples

WINDOW: Final = 400
HOP: Final = 160

_LINEAR_BELOW_HZ: Final = 1_000.0
_HZ_PER_MEL: Final = 200.0 / 3.0
_LOG_STEP: Final = np.log(6.4) / 27.0


def log_mel_spectrogram(samples: Samples, bins: int) -> npt.NDArray[np.float32]:
    """(n,) -> (n // HOP, bins); n is more than half a window. Frame t is centred at sample t HOP; the clip is
    reflected at its ends, and its loudest bin sets its floor, 80 dB below it.
    """
    padded = np.pad(samples.astype(np.float32, copy=False), WINDOW // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP][:-1]
    spectrum = np.fft.rfft(frames * _window(), axis=1)
    power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32, copy=False)  # (F, WINDOW // 2 + 1)
    logarithm = np.log10(np.maximum(power @ mel_filter_bank(bins).T, np.float32(1e-10)))
    scaled: npt.NDArray[np.float32] = (np.maximum(logarithm, logarithm.max() - 8.0) + 4.0) / 4.0
    return scaled


@cache
def mel_filter_bank(bins: int) -> npt.NDArray[np.float32]:
    """(bins, WINDOW // 2 + 1): triangles of equal area on Slaney's mel scale, which is linear below 1 kHz and
    logarithmic above (Auditory Toolbox, 1998).
    """
    frequencies = np.linspace(0.0, SAMPLE_RATE_HZ / 2, WINDOW // 2 + 1)
    corners = _hz(np.linspace(0.0, _mel(SAMPLE_RATE_HZ / 2), bins + 2))
    lower, centre, upper = corners[:-2, None], corners[1:-1, None], corners[2:, None]
    rising, falling = (frequencies - lower) / (centre - lower), (upper - frequencies) / (upper - centre)
    triangles: npt.NDArray[np.float64] = np.maximum(0.0, np.minimum(rising, falling)) * (
        2.0 / (upper - lower)
    )
    return triangles.astype(np.float32)


def _mel(hz: float) -> float:
    """Of a frequency above 1 kHz."""
    return float(_LINEAR_BELOW_HZ / _HZ_PER_MEL + np.log(hz / _LINEAR_BELOW_HZ) / _LOG_STEP)


def _hz(mel: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    linear = _LINEAR_BELOW_HZ / _HZ_PER_MEL
    above = _LINEAR_BELOW_HZ * np.exp(_LOG_STEP * (mel - linear))
    return np.where(mel < linear, _HZ_PER_MEL * mel, above)


@cache
def _window() -> npt.NDArray[np.float32]:
    """(WINDOW,): Hann's, periodic."""
    turns = np.arange(WINDOW) * (2.0 * np.pi / WINDOW)
    return np.asarray(0.5 - 0.5 * np.cos(turns), dtype=np.float32)
