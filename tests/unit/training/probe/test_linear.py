"""Logistic regression, against scikit-learn's."""

from __future__ import annotations

import numpy as np
from sklearn.linear_model import LogisticRegression

from emostream.training.probe.linear import Standardisation, fit_softmax

PENALTY = 0.01


def test_the_fit_equals_that_of_another_solver() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((200, 5)).astype(np.float32)
    labels = (x @ rng.standard_normal((5, 4)) + rng.standard_normal((200, 4))).argmax(1)
    weights = rng.random(200) + 0.1
    ours = fit_softmax(x, np.eye(4, dtype=np.float32)[labels], weights, PENALTY)
    share = weights / weights.sum()
    theirs = LogisticRegression(C=1 / PENALTY, max_iter=1000).fit(x, labels, sample_weight=share)
    expected = theirs.predict_log_proba(x)
    logits = ours(x)
    found = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    np.testing.assert_allclose(found, expected, atol=0.02)


def test_features_are_standardised_by_weighted_statistics_and_cut_off() -> None:
    rng = np.random.default_rng(1)
    features = rng.standard_normal((50, 3)).astype(np.float32) * 7 + 3
    weights = rng.random(50)
    standardised = Standardisation.of(features, weights)(features)
    np.testing.assert_allclose(np.average(standardised, axis=0, weights=weights), 0, atol=1e-4)
    np.testing.assert_allclose(np.average(standardised**2, axis=0, weights=weights), 1, atol=1e-2)
    outlier = np.full((1, 3), 1e6, np.float32)
    assert Standardisation.of(features, weights)(outlier).max() == 8.0
