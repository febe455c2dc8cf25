"""How fast the spectrum of a sound changes: what tells a tone or a hum from a voice."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

from .types import SAMPLE_RATE_HZ, Samples

_FRAME: Final = SAMPLE_RATE_HZ // 40  # 25 ms
_HOP: Final = SAMPLE_RATE_HZ // 100
_FFT: Final = 512
_BANDS: Final = 40
_EDGES_HZ: Final = (60.0, 7_600.0)
_ACTIVE: Final = 1e-3
"""Frames 30 dB and more below the loudest one are left out."""


def spectral_change(samples: Samples) -> float:
    """The mean absolute change, in nepers, of the mel bands' log energies from one frame to the next 10 ms
    later, less the change that all bands share.

    0.49 or more in each of 2,000 utterances of three corpora, below 0.3 in tones, chords and sustained notes.
    """
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(samples, (0, _FRAME)), _FRAME)[::_HOP]
    spectra = np.abs(np.fft.rfft(windows * np.hanning(_FRAME), _FFT)) ** 2  # (T, 257)
    energies = spectra.sum(1)
    if len(energies) < 2 or not energies.max():
        return 0.0
    logs = np.log(spectra @ _mel_bands().T + 1e-8 * energies.max())  # (T, 40)
    changes = np.abs(np.diff(logs - logs.mean(1, keepdims=True), axis=0)).mean(1)
    active = energies[1:] > _ACTIVE * energies.max()
    return float(changes[active].mean()) if active.any() else 0.0


@lru_cache(maxsize=1)
def _mel_bands() -> npt.NDArray[np.float64]:
    """Triangles, equally wide on the mel scale: (40, 257)."""
    low, high = (2_595 * np.log10(1 + hz / 700) for hz in _EDGES_HZ)
    edges = 700 * (10 ** (np.linspace(low, high, _BANDS + 2) / 2_595) - 1)
    hz = np.fft.rfftfreq(_FFT, 1 / SAMPLE_RATE_HZ)
    rising = (hz - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - hz) / (edges[2:] - edges[1:-1])[:, None]
    return np.asarray(np.maximum(0, np.minimum(rising, falling)))
