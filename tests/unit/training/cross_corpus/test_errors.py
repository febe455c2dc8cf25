"""The error predictor's fit: it finds what foretells errors, and drops reasons that foretell nothing."""

from __future__ import annotations

import numpy as np
import pytest

from emostream.models.reliability import FEATURES
from emostream.training.cross_corpus.errors import (
    MIN_LIFT,
    ErrorExamples,
    error_probabilities,
    fit_error_predictor,
    reason_lifts,
)

DISTANCE = FEATURES.index("distance")


def examples(count: int = 600, seed: int = 0) -> ErrorExamples:
    """Wrong where the clip is far away; everything else is noise."""
    rng = np.random.default_rng(seed)
    features = rng.standard_normal((count, len(FEATURES)))
    wrong = rng.random(count) < 1 / (1 + np.exp(-3 * features[:, DISTANCE]))
    return ErrorExamples(features, wrong, tuple("ab"[row % 2] for row in range(count)))


def test_it_predicts_errors_of_other_predictions() -> None:
    predictor = fit_error_predictor(examples(), worst_risk=0.2, controlled=["a", "b"])
    assert predictor.weights["distance"] > 1.5
    assert max(abs(w) for name, w in predictor.weights.items() if name != "distance") < 0.5
    other = examples(seed=1)
    p = error_probabilities(predictor, other)
    assert p[other.wrong].mean() > p[~other.wrong].mean() + 0.3
    for group in "ab":
        accepted = (p <= predictor.threshold) & (np.array(other.groups) == group)
        assert other.wrong[accepted].mean() < 0.3


def test_only_reasons_with_lift_are_reported() -> None:
    part = examples()
    predictor = fit_error_predictor(part, worst_risk=0.2, controlled=["a", "b"])
    assert "unlike_training" in predictor.reasons
    lifts = reason_lifts(predictor, part)
    assert lifts["unlike_training"] >= MIN_LIFT
    assert set(lifts) == set(predictor.reasons)


def test_parts_are_joined_and_separated() -> None:
    whole = ErrorExamples.joined([examples(4), examples(2, 1)])
    assert len(whole.wrong) == 6
    assert whole.of(["a"]).groups == ("a", "a", "a")
    with pytest.raises(ValueError, match="at least one array"):
        ErrorExamples.joined([])
