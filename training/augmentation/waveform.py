"""Augmentations of a waveform: noise, frequency response, silence, speed."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import soxr

from emostream.models import SAMPLE_RATE_HZ, Samples

MOST_SILENCE_S: Final = 0.6
"""Of `random_silence`, at each end."""
SLOWEST_SPEED: Final = 0.92
"""Of `random_speed`."""


def add_noise(samples: Samples, rng: np.random.Generator) -> Samples:
    """Noise of a random colour (white to brown) at 3 to 35 dB below the clip's mean power."""
    noise = coloured_noise(len(samples), rng)
    return mix_at_snr(samples, noise, rng.uniform(3.0, 35.0))


def coloured_noise(length: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """(length,) noise whose power falls by 0 to 6 dB per octave; its level is arbitrary."""
    size = _fast_length(length)
    spectrum = np.fft.rfft(rng.standard_normal(size))
    frequency = np.maximum(np.arange(len(spectrum)), 1.0)
    return np.fft.irfft(spectrum * frequency ** -rng.uniform(0.0, 1.0), size)[:length]


def mix_at_snr(samples: Samples, noise: npt.NDArray[np.floating[Any]], snr_db: float) -> Samples:
    """The sum, after the noise has been brought to `snr_db` below the clip's mean power."""
    power = np.sqrt((samples**2).mean() + 1e-12) / np.sqrt((noise**2).mean() + 1e-12)
    noisy: Samples = (samples + 10 ** (-snr_db / 20) * power * noise).astype(np.float32)
    return noisy


def random_equalizer(samples: Samples, rng: np.random.Generator) -> Samples:
    """A microphone's response: a tilt of up to 4 dB per octave around 1 kHz, sometimes a telephone's band."""
    size = _fast_length(len(samples))
    spectrum = np.fft.rfft(samples, size)
    hertz = np.fft.rfftfreq(size, 1.0 / SAMPLE_RATE_HZ)
    octaves = np.log2(np.maximum(hertz, 60.0) / 1000.0)
    gain = 10 ** (rng.uniform(-4.0, 4.0) * octaves / 20)
    if rng.random() < 0.3:
        gain = gain * (hertz < rng.uniform(3000.0, 7000.0)) * (hertz > rng.uniform(60.0, 250.0))
    equalized: Samples = np.fft.irfft(spectrum * gain, size)[: len(samples)].astype(np.float32)
    return equalized


def random_silence(samples: Samples, rng: np.random.Generator) -> tuple[Samples, int]:
    """Up to 0.6 s of near silence added at each end, as a segmenter leaves it; and the samples in front."""
    floor = 10 ** rng.uniform(-6.0, -3.0)
    front, back = (
        floor * rng.standard_normal(int(rng.integers(0, int(MOST_SILENCE_S * SAMPLE_RATE_HZ))))
        for _ in range(2)
    )
    return np.concatenate([front, samples, back]).astype(np.float32), len(front)


def random_speed(samples: Samples, rng: np.random.Generator) -> tuple[Samples, float]:
    """Speed and pitch together by up to 8 %: another vocal tract, hardly another emotion; and the factor."""
    factor = rng.uniform(SLOWEST_SPEED, 1.08)
    return resample_speed(samples, factor), factor


def resample_speed(samples: Samples, factor: float) -> Samples:
    """(N,) -> (N / factor,): played `factor` times as fast, band-limited to 8 kHz."""
    resampled: Samples = soxr.resample(samples, factor * SAMPLE_RATE_HZ, SAMPLE_RATE_HZ)
    return resampled


def distort(samples: Samples, rng: np.random.Generator) -> Samples:
    """Equalizer and noise, each with its own probability; the length stays."""
    if rng.random() < 0.4:
        samples = random_equalizer(samples, rng)
    if rng.random() < 0.5:
        samples = add_noise(samples, rng)
    return samples


def _fast_length(length: int) -> int:
    """The next power of two: an FFT of prime length costs five times as much."""
    return 1 << max(1, length - 1).bit_length()
