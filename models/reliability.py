"""Reliability of a prediction: a logistic predictor of error, fitted on corpora that the model was not
trained on.

It reads what is known when a label is given (how close the second label was, how unlike the training data the
clip sounds, its length and noise, whether the heads agree, how many utterances the speaker's baseline has)
and returns the probability that the label is wrong. A prediction is reliable where that is at most the
threshold. Training fits it (`emostream.training.cross_corpus.errors`); a checkpoint without it falls back
on the rules of `uncertainty`. The idea is that of selective classification (Geifman, El-Yaniv, arXiv
1705.08500).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from .types import Probabilities

FEATURES: Final = ("margin", "entropy", "distance", "log_seconds", "snr", "divergence", "no_history")
REASON_OF_FEATURE: Final[dict[str, str]] = {
    "margin": "low_confidence",
    "entropy": "low_confidence",
    "distance": "unlike_training",
    "log_seconds": "too_short",
    "snr": "low_snr",
    "divergence": "modalities_disagree",
    "no_history": "unknown_voice",
}
"""Features that say the same share a reason; its contribution is their sum."""


def reliability_features(
    fused: Probabilities,
    audio: Probabilities | None,
    text: Probabilities | None,
    *,
    distance: float,
    seconds: float,
    snr_db: float,
    history: float,
) -> dict[str, float]:
    """The value of each of FEATURES.

    audio, text: posteriors of the heads without their priors; None where there was none. distance: root mean
    square of the clip's mean state, in standard deviations from the training mean or the speaker's baseline.
    history: share of the baseline that is the speaker's own, n / (n + n0).
    """
    first, second = sorted(fused, reverse=True)[:2]
    divergence = 0.0 if audio is None or text is None else jensen_shannon(audio, text)
    return {
        "margin": math.log(max(first, 1e-9) / max(second, 1e-9)),
        "entropy": entropy(fused),
        "distance": distance,
        "log_seconds": math.log(max(seconds, 0.05)),
        "snr": snr_db / 10.0,
        "divergence": divergence,
        "no_history": 1.0 - history,
    }


def entropy(probabilities: Probabilities) -> float:
    """In nats."""
    return -sum(p * math.log(p) for p in probabilities if p > 0.0)


def jensen_shannon(one: Probabilities, other: Probabilities) -> float:
    """The Jensen-Shannon divergence of two distributions in nats, 0 to log 2."""
    middle = tuple((a + b) / 2 for a, b in zip(one, other, strict=True))
    return max(0.0, entropy(middle) - (entropy(one) + entropy(other)) / 2)


@dataclass(frozen=True, slots=True)
class ErrorPredictor:
    """P(wrong) = sigmoid(bias + sum_f weights_f (x_f - centres_f)).

    weights, centres: by feature; the centre is the mean over the predictions that it was fitted on.
    threshold: the largest probability of a reliable prediction. reasons: those that are reported, whose
    lift was high enough when it was measured.
    """

    bias: float
    weights: Mapping[str, float]
    centres: Mapping[str, float]
    threshold: float
    reasons: tuple[str, ...]

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Self:
        """Raises ValueError for a missing or unknown field, feature or reason, and for what is no number."""
        names = ("bias", "weights", "centres", "threshold", "reasons")
        if not isinstance(fields, Mapping) or set(fields) != set(names):
            raise ValueError(f"expected error_predictor of {', '.join(names)}, got {fields!r}")
        for name in ("weights", "centres"):
            if not isinstance(fields[name], Mapping) or set(fields[name]) != set(FEATURES):
                raise ValueError(
                    f"expected error_predictor.{name} of {', '.join(FEATURES)}, got {fields[name]!r}"
                )
        numbers = [
            fields["bias"],
            fields["threshold"],
            *fields["weights"].values(),
            *fields["centres"].values(),
        ]
        if not all(isinstance(value, (int, float)) and math.isfinite(value) for value in numbers):
            raise ValueError(f"expected finite numbers in error_predictor, got {fields!r}")
        known = set(REASON_OF_FEATURE.values())
        if not isinstance(fields["reasons"], (list, tuple)) or not set(fields["reasons"]) <= known:
            raise ValueError(
                f"expected error_predictor.reasons out of {', '.join(sorted(known))}, got "
                f"{fields['reasons']!r}"
            )
        return cls(
            float(fields["bias"]),
            dict(fields["weights"]),
            dict(fields["centres"]),
            float(fields["threshold"]),
            tuple(fields["reasons"]),
        )

    def fields(self) -> dict[str, Any]:
        """For a configuration file."""
        return {
            "bias": self.bias,
            "weights": dict(self.weights),
            "centres": dict(self.centres),
            "threshold": self.threshold,
            "reasons": list(self.reasons),
        }

    def error_probability(self, features: Mapping[str, float]) -> float:
        """That the label is wrong."""
        score = self.bias + sum(self._terms(features).values())
        return 1.0 / (1.0 + math.exp(-max(-50.0, min(50.0, score))))

    def doubts(self, features: Mapping[str, float]) -> tuple[str, ...]:
        """The reasons that raise the probability of error, the largest contribution first."""
        sums: dict[str, float] = {}
        for name, term in self._terms(features).items():
            reason = REASON_OF_FEATURE[name]
            sums[reason] = sums.get(reason, 0.0) + term
        doubts = [reason for reason in sums if reason in self.reasons and sums[reason] > 0.0]
        return tuple(sorted(doubts, key=lambda reason: (-sums[reason], reason)))

    def _terms(self, features: Mapping[str, float]) -> dict[str, float]:
        return {name: self.weights[name] * (features[name] - self.centres[name]) for name in FEATURES}
