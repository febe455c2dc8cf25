"""Reverberation with a synthetic impulse response.

The late reflections of a room resemble decaying noise (J.-D. Polack, La transmission de l'énergie
sonore dans les salles, 1988). Pure: the generator is an argument.
"""

from __future__ import annotations

import numpy as np
from scipy.signal import fftconvolve

from emostream.models import SAMPLE_RATE_HZ, Samples


def impulse_response(rt60_s: float, direct_db: float, rng: np.random.Generator) -> Samples:
    """(rt60_s * 16 kHz,): the direct sound, 1 at sample 0, then the reverberation.

    rt60_s: in which the reverberant energy falls by 60 dB; there the response ends. direct_db: energy of the
    direct sound over that of the reverberation.
    """
    time_s = np.arange(1, max(2, round(rt60_s * SAMPLE_RATE_HZ))) / SAMPLE_RATE_HZ
    tail = rng.standard_normal(len(time_s)) * 10 ** (-3 * time_s / rt60_s)
    tail *= 10 ** (-direct_db / 20) / np.sqrt((tail**2).sum())
    return np.concatenate([[1.0], tail]).astype(np.float32)


def reverberate(samples: Samples, response: Samples) -> Samples:
    """(N,) -> (N,) of the same mean power. The direct sound stays in place, the length too."""
    reverberant = fftconvolve(samples, response)[: len(samples)]
    power = np.sqrt((samples**2).mean() + 1e-12) / np.sqrt((reverberant**2).mean() + 1e-12)
    scaled: Samples = (power * reverberant).astype(np.float32)
    return scaled


def random_reverb(samples: Samples, rng: np.random.Generator) -> Samples:
    """From a furnished bedroom to a lecture hall, RT60 of 0.15 to 0.8 s, from near to far, 12 to -3 dB."""
    return reverberate(samples, impulse_response(rng.uniform(0.15, 0.8), rng.uniform(-3.0, 12.0), rng))
