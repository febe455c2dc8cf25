"""Estimates the reliability of a prediction: whether to believe it, and the reasons to doubt it.

By the checkpoint's error predictor where it has one (`reliability`), otherwise by the thresholds of
`uncertainty`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from .baseline import Voice
from .emotion_fields import EmotionFields
from .reliability import ErrorPredictor, reliability_features
from .types import EncodedAudio, Probabilities
from .uncertainty import AudioQuality, UncertaintyThresholds, uncertain_reasons

_NO_DOUBT: Final = {"no_text", "unsupported_language"}
"""A clip without words of use is a reason to know less, but no sign of an error."""

_ALWAYS: Final = _NO_DOUBT | {"too_short", "low_snr"}
"""Reasons by the thresholds that stand beside those of an error predictor."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of one prediction. baseline: of the speaker, None where unknown. known_share: how much of
    it is his own, 0 to 1. foreign_text: there are words, in a language that the text branch does not know.
    """

    code: EncodedAudio
    fused: Probabilities
    audio_only: Probabilities | None
    text_only: Probabilities | None
    baseline: Voice | None
    known_share: float
    foreign_text: bool = False


@dataclass(frozen=True, slots=True)
class ReliabilityEstimate:
    """error_probability: None where the checkpoint has no error predictor."""

    reliable: bool
    reasons: tuple[str, ...]
    error_probability: float | None


class ReliabilityEstimator:
    """For the predictions of one checkpoint."""

    def __init__(self, config: EmotionFields) -> None:
        fields = config.error_predictor
        self._predictor = None if fields is None else ErrorPredictor.from_fields(fields)
        self._text_prior = config.text_prior
        self._limits = UncertaintyThresholds(
            config.too_short_s, config.low_snr_db, config.disagree_p, config.low_confidence_p
        )

    def __call__(self, evidence: Evidence) -> ReliabilityEstimate:
        clip = evidence.code.clip
        audio = None if clip is None else AudioQuality.of(clip.samples)
        by_thresholds = self._by_thresholds(evidence, audio)
        if self._predictor is None or audio is None:
            return by_thresholds
        features = reliability_features(
            evidence.fused,
            evidence.audio_only,
            self._without_prior(evidence.text_only),
            distance=distance(evidence.code.voice, evidence.baseline),
            seconds=audio.seconds,
            snr_db=audio.snr_db,
            history=evidence.known_share,
        )
        wrong = self._predictor.error_probability(features)
        # Outside of what the predictor was fitted on, the thresholds hold; what is missing is told as well.
        limits = [reason for reason in by_thresholds.reasons if reason in _ALWAYS]
        doubts = self._predictor.doubts(features) if wrong > self._predictor.threshold else ()
        reliable = wrong <= self._predictor.threshold and not set(limits) - _NO_DOUBT
        return ReliabilityEstimate(reliable, tuple(dict.fromkeys((*limits, *doubts))), wrong)

    def _by_thresholds(self, evidence: Evidence, audio: AudioQuality | None) -> ReliabilityEstimate:
        reasons = uncertain_reasons(
            audio,
            evidence.fused,
            evidence.audio_only,
            evidence.text_only,
            self._limits,
            foreign_text=evidence.foreign_text,
        )
        return ReliabilityEstimate(not set(reasons) - _NO_DOUBT, reasons, None)

    def _without_prior(self, text: Probabilities | None) -> Probabilities | None:
        if text is None or self._text_prior is None:
            return text
        shares = [p / q for p, q in zip(text, self._text_prior, strict=True)]
        total = sum(shares)
        return tuple(share / total for share in shares)


def distance(voice: Voice | None, baseline: Voice | None) -> float:
    """Root mean square of a clip's mean state, seen from the baseline; 0 where there is no such state."""
    if voice is None:
        return 0.0
    seen = voice if baseline is None else voice - baseline
    return float(np.sqrt(np.mean(np.square(seen, dtype=np.float64))))
