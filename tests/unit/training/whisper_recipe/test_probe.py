"""The linear probe: its fit, against scikit-learn's."""

from __future__ import annotations

import numpy as np
from sklearn.linear_model import LogisticRegression

from emostream.training.whisper_recipe.probe import PENALTY, fit_softmax


def test_the_fit_equals_that_of_another_solver() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((200, 5)).astype(np.float32)
    labels = (x @ rng.standard_normal((5, 4)) + rng.standard_normal((200, 4))).argmax(1)
    weights = rng.random(200) + 0.1
    ours = fit_softmax(x, np.eye(4, dtype=np.float32)[labels], weights)
    share = weights / weights.sum()
    theirs = LogisticRegression(C=1 / PENALTY, max_iter=1000).fit(x, labels, sample_weight=share)
    expected = theirs.predict_log_proba(x)
    logits = ours(x)
    found = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    np.testing.assert_allclose(found, expected, atol=0.02)
