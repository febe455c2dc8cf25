"""Reasons to doubt a prediction, from the clip and the probabilities alone: pure functions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

import numpy as np

from .types import SAMPLE_RATE_HZ, Probabilities, Samples

_FRAME: Final = SAMPLE_RATE_HZ // 50
_MIN_FRAMES: Final = 10
_CEILING_DB: Final = 60.0


def estimate_snr_db(samples: Samples) -> float:
    """Signal-to-noise ratio estimated from the clip's loud and quiet frames, in dB, 0 to 60.

    Energies of 20 ms frames; the 95th percentile is taken for speech, the 10th for the noise floor, which
    the segmenter's margins and the gaps between syllables expose. The speech estimate contains the noise,
    so the floor is subtracted. Steady noise gives about 0, silence exactly 0; a clip of fewer than ten
    frames has no measurable floor and gets 60.
    """
    clean = np.nan_to_num(samples.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    frames = clean[: len(clean) // _FRAME * _FRAME].reshape(-1, _FRAME)
    if len(frames) < _MIN_FRAMES:
        return _CEILING_DB
    energies = (frames**2).mean(axis=1)
    floor, loud = np.quantile(energies, (0.1, 0.95))
    if loud <= 0.0:
        return 0.0
    ratio = (loud - floor) / max(floor, loud * 10 ** (-_CEILING_DB / 10))
    return float(np.clip(10 * np.log10(max(ratio, 1.0)), 0.0, _CEILING_DB))


@dataclass(frozen=True, slots=True)
class AudioQuality:
    """Of one clip. snr_db: see `estimate_snr_db`."""

    seconds: float
    snr_db: float

    @classmethod
    def of(cls, samples: Samples) -> Self:
        return cls(len(samples) / SAMPLE_RATE_HZ, estimate_snr_db(samples))


@dataclass(frozen=True, slots=True)
class UncertaintyThresholds:
    """See EmotionConfig for where the values come from."""

    too_short_s: float
    low_snr_db: float
    disagree_p: float
    low_confidence_p: float


def uncertain_reasons(
    audio: AudioQuality | None,
    fused: Probabilities,
    audio_only: Probabilities | None,
    text_only: Probabilities | None,
    limits: UncertaintyThresholds,
    *,
    foreign_text: bool = False,
) -> tuple[str, ...]:
    """Reasons to doubt a prediction, always in this order; empty where there is none.

    audio, audio_only: None where only text was classified; audio quality is then not checked.
    foreign_text: there are words, in a language that the text branch does not know.
    """
    reasons = {
        "too_short": audio is not None and audio.seconds < limits.too_short_s,
        "low_snr": audio is not None and audio.snr_db < limits.low_snr_db,
        "no_text": text_only is None and not foreign_text,
        "unsupported_language": foreign_text,
        "modalities_disagree": _disagree(audio_only, text_only, limits.disagree_p),
        "low_confidence": max(fused) < limits.low_confidence_p,
    }
    return tuple(reason for reason, holds in reasons.items() if holds)


def _disagree(audio: Probabilities | None, text: Probabilities | None, minimum: float) -> bool:
    if audio is None or text is None:
        return False
    both_confident = max(audio) >= minimum and max(text) >= minimum
    return both_confident and audio.index(max(audio)) != text.index(max(text))
