"""Fits the error predictor on predictions for corpora that their model was not trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression

from emostream.models.reliability import FEATURES, REASON_OF_FEATURE, ErrorPredictor

from .clips import NOISE, ORDINARY
from .selective import threshold_for_risk

MIN_LIFT: Final = 1.2
"""The smallest ratio of the error rate of a reason's clips to that of all clips; others are not reported."""
CALM: Final = (ORDINARY, NOISE)
MAX_FALSE: Final = 0.02
"""Of ordinary utterances and of noises: accepted with a label that they do not have."""
_REGULARIZATION: Final = 1.0
_SIGNS: Final = np.array([-1.0 if name in ("margin", "log_seconds", "snr") else 1.0 for name in FEATURES])
"""Whether a larger value of each feature speaks for an error."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ErrorExamples:
    """features: (N, F) in the order of FEATURES. wrong: (N,). groups: the corpus of each.

    Noise counts as wrong: it holds no speech, so every emotion is an error.
    """

    features: Floats
    wrong: npt.NDArray[np.bool_]
    groups: tuple[str, ...]

    @classmethod
    def joined(cls, parts: Sequence[ErrorExamples]) -> ErrorExamples:
        return cls(
            np.concatenate([part.features for part in parts]),
            np.concatenate([part.wrong for part in parts]),
            tuple(group for part in parts for group in part.groups),
        )

    def of(self, groups: Sequence[str]) -> ErrorExamples:
        """Those of these corpora."""
        rows = np.isin(np.array(self.groups), list(groups))
        return ErrorExamples(
            self.features[rows], self.wrong[rows], tuple(np.array(self.groups)[rows].tolist())
        )


def fit_error_predictor(
    examples: ErrorExamples, *, worst_risk: float, controlled: Sequence[str]
) -> ErrorPredictor:
    """By logistic regression, every corpus with the same weight.

    worst_risk: of what is accepted, on the worst of the corpora `controlled`; for CALM see MAX_FALSE. A
    feature whose weight has the wrong sign (longer clips wrong more often) has picked up how predictions were
    made, and is left out.
    """
    groups = np.array(examples.groups)
    weights = np.zeros(len(groups))
    for name in set(examples.groups):
        weights[groups == name] = len(groups) / len(set(examples.groups)) / (groups == name).sum()
    centres = np.average(examples.features, axis=0, weights=weights)
    scales = np.sqrt(np.average((examples.features - centres) ** 2, axis=0, weights=weights)) + 1e-9
    standardised = (examples.features - centres) / scales
    used = scales > 1e-6
    coefficients = np.zeros(len(FEATURES))
    while True:
        model = LogisticRegression(C=_REGULARIZATION, max_iter=500)
        model.fit(standardised[:, used], examples.wrong, sample_weight=weights)
        coefficients[:] = 0.0
        coefficients[used] = model.coef_[0]
        misled = coefficients * _SIGNS < 0
        if not misled.any() or misled.sum() == used.sum():
            break
        used &= ~misled
    predictor = ErrorPredictor(
        bias=float(model.intercept_[0]),
        weights=_named(coefficients / scales),
        centres=_named(centres),
        threshold=0.5,
        reasons=tuple(dict.fromkeys(REASON_OF_FEATURE.values())),
    )
    part = examples.of(controlled)
    threshold, _ = threshold_for_risk(
        error_probabilities(predictor, part), part.wrong, part.groups, worst_risk
    )
    for name in sorted(set(examples.groups) & set(CALM)):
        calm = examples.of([name])
        threshold = min(threshold, _calm_threshold(error_probabilities(predictor, calm), calm.wrong))
    fitted = ErrorPredictor(
        predictor.bias, predictor.weights, predictor.centres, threshold, predictor.reasons
    )
    reported = tuple(reason for reason, lift in reason_lifts(fitted, part).items() if lift >= MIN_LIFT)
    return ErrorPredictor(fitted.bias, fitted.weights, fitted.centres, fitted.threshold, reported)


def _calm_threshold(error_probability: Floats, wrong: npt.NDArray[np.bool_]) -> float:
    """The largest at which at most MAX_FALSE of all are wrong and accepted."""
    ranked = np.sort(error_probability[wrong])
    allowed = int(MAX_FALSE * len(wrong))
    return float(np.nextafter(ranked[allowed], -np.inf)) if len(ranked) > allowed else 1.0


def error_probabilities(predictor: ErrorPredictor, examples: ErrorExamples) -> Floats:
    """(N,)."""
    return np.array([predictor.error_probability(_named(row)) for row in examples.features])


def reason_lifts(predictor: ErrorPredictor, examples: ErrorExamples) -> Mapping[str, float]:
    """Reason -> how many times as often clips are wrong for which it is the first reason; 0 where it never
    is.

    Only predictions that are not reliable have reasons.
    """
    wrong: dict[str, list[bool]] = {reason: [] for reason in predictor.reasons}
    for row, is_wrong in zip(examples.features, examples.wrong.tolist(), strict=True):
        features = _named(row)
        if predictor.error_probability(features) > predictor.threshold:
            for reason in predictor.doubts(features)[:1]:
                wrong[reason].append(is_wrong)
    overall = max(float(examples.wrong.mean()), 1e-9)
    return {reason: float(np.mean(hits)) / overall if hits else 0.0 for reason, hits in wrong.items()}


def _named(values: npt.NDArray[np.float64]) -> dict[str, float]:
    return dict(zip(FEATURES, (float(value) for value in values), strict=True))
