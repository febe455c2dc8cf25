"""The corruptions of the robustness table: the same clips, each corrupted in one known way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from emostream.models import SAMPLE_RATE_HZ, Samples

from ..augmentation.codec import MULAW, OPUS, codecs, through_codec
from ..augmentation.waveform import coloured_noise, mix_at_snr
from ..data.audio_cache import speech_bounds

_SILENCE_S = 0.6
_FLOOR = 1e-4
_CUT_S = 0.1


@dataclass(frozen=True, slots=True)
class Corruption:
    """A named corruption. apply: (N,) samples and the clip's own generator -> samples."""

    name: str
    apply: Callable[[Samples, np.random.Generator], Samples]


def corruptions() -> list[Corruption]:
    """All corruptions, the unchanged clip first. Codecs that this machine's FFmpeg lacks are left out."""
    found = [Corruption("as recorded", lambda samples, _: samples)]
    found += [Corruption(f"noise, SNR {snr} dB", _noise(float(snr))) for snr in (20, 10, 5, 0)]
    if MULAW in codecs():
        found.append(
            Corruption("telephone (G.711, 8 kHz)", lambda samples, _: through_codec(samples, MULAW, 64.0))
        )
    if OPUS in codecs():
        found.append(Corruption("Opus, 8 kbit/s", lambda samples, _: through_codec(samples, OPUS, 8.0)))
    found += [Corruption(f"peak at {level} dBFS", _level(float(level))) for level in (-35, -3)]
    found.append(Corruption(f"{_SILENCE_S:g} s of near silence at both ends", _padded))
    found.append(Corruption(f"speech cut by {_CUT_S:g} s at both ends", _cut))
    return found


def _noise(snr_db: float) -> Callable[[Samples, np.random.Generator], Samples]:
    """Of a random colour, white to brown."""

    def apply(samples: Samples, rng: np.random.Generator) -> Samples:
        return mix_at_snr(samples, coloured_noise(len(samples), rng), snr_db)

    return apply


def _level(dbfs: float) -> Callable[[Samples, np.random.Generator], Samples]:
    """The peak at so many dB below full scale, rounded to 16 bits as a sound card would."""

    def apply(samples: Samples, _: np.random.Generator) -> Samples:
        loud = samples / max(float(np.abs(samples).max()), 1e-9) * 10 ** (dbfs / 20)
        return (np.round(loud * 32768.0) / 32768.0).astype(np.float32)

    return apply


def _padded(samples: Samples, rng: np.random.Generator) -> Samples:
    front, back = (_FLOOR * rng.standard_normal(int(_SILENCE_S * SAMPLE_RATE_HZ)) for _ in range(2))
    return np.concatenate([front, samples, back]).astype(np.float32)


def _cut(samples: Samples, _: np.random.Generator) -> Samples:
    start, end = speech_bounds(samples, margin_s=-_CUT_S)
    return samples[start:end] if end - start > SAMPLE_RATE_HZ // 4 else samples
