"""What can be said about a judgement's worth from the clip and the scores alone: pure functions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from .types import SAMPLE_RATE_HZ, Probabilities, Samples

_FRAME: Final = SAMPLE_RATE_HZ // 50
_FEWEST_FRAMES: Final = 10
_CEILING_DB: Final = 60.0


def estimate_snr_db(samples: Samples) -> float:
    """Loud frames over quiet frames of the clip itself, in dB, 0 to 60.

    Energies of 20 ms frames; the 95th percentile stands for speech, the 10th for the noise floor, which
    a segmenter's margins and the gaps between syllables show. The speech estimate still holds the noise,
    so the floor is taken off it. Steady noise gives about 0, silence exactly 0; a clip of fewer than ten
    frames shows no floor and gets the benefit of the doubt, 60.
    """
    clean = np.nan_to_num(samples.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    frames = clean[: len(clean) // _FRAME * _FRAME].reshape(-1, _FRAME)
    if len(frames) < _FEWEST_FRAMES:
        return _CEILING_DB
    energies = (frames**2).mean(axis=1)
    floor, loud = np.quantile(energies, (0.1, 0.95))
    if loud <= 0.0:
        return 0.0
    ratio = (loud - floor) / max(floor, loud * 10 ** (-_CEILING_DB / 10))
    return float(np.clip(10 * np.log10(max(ratio, 1.0)), 0.0, _CEILING_DB))


@dataclass(frozen=True, slots=True)
class UncertaintyThresholds:
    """See EmotionConfig for where the values come from."""

    too_short_s: float
    low_snr_db: float
    disagree_p: float
    low_confidence_p: float


def uncertain_reasons(
    samples: Samples | None,
    fused: Probabilities,
    audio_only: Probabilities | None,
    text_only: Probabilities | None,
    limits: UncertaintyThresholds,
) -> tuple[str, ...]:
    """Reasons to doubt a prediction, always in this order; empty where there is none.

    samples, audio_only: None where words were judged alone, which says nothing of a sound's worth.
    """
    reasons = {
        "too_short": samples is not None and len(samples) < limits.too_short_s * SAMPLE_RATE_HZ,
        "low_snr": samples is not None and estimate_snr_db(samples) < limits.low_snr_db,
        "no_text": text_only is None,
        "modalities_disagree": _disagree(audio_only, text_only, limits.disagree_p),
        "low_confidence": max(fused) < limits.low_confidence_p,
    }
    return tuple(reason for reason, holds in reasons.items() if holds)


def _disagree(audio: Probabilities | None, text: Probabilities | None, least: float) -> bool:
    if audio is None or text is None:
        return False
    both_sure = max(audio) >= least and max(text) >= least
    return both_sure and audio.index(max(audio)) != text.index(max(text))
