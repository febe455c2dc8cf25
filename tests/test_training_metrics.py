"""Figures, against hand-computed cases."""

from __future__ import annotations

import math

import numpy as np
import pytest

from emostream.training.evaluation.metrics import calibration_error, figures, unweighted_recall

TRUTH = [0, 0, 0, 1, 2, 3]
SHARES = np.array(
    [
        [0.7, 0.1, 0.1, 0.1],
        [0.4, 0.3, 0.2, 0.1],
        [0.1, 0.8, 0.05, 0.05],
        [0.1, 0.6, 0.2, 0.1],
        [0.3, 0.3, 0.35, 0.05],
        [0.5, 0.2, 0.2, 0.1],
    ]
)


def test_against_hand_computed_figures() -> None:
    got = figures(TRUTH, SHARES)
    assert got.count == 6
    assert got.wa == pytest.approx(4 / 6)
    assert got.ua == pytest.approx((2 / 3 + 1 + 1 + 0) / 4)
    # precision: angry 2/3, happy 1/2, sad 1, neutral 0
    assert got.macro_f1 == pytest.approx((2 / 3 + 2 / 3 + 1 + 0) / 4)
    assert got.nll == pytest.approx(-sum(math.log(SHARES[i, t]) for i, t in enumerate(TRUTH)) / 6)
    assert got.confusion == [[2, 1, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [1, 0, 0, 0]]
    brier = sum((SHARES[i, c] - (c == t)) ** 2 for i, t in enumerate(TRUTH) for c in range(4)) / 6
    assert got.brier == pytest.approx(brier)


def test_the_calibration_error_is_the_gap_per_bin() -> None:
    """Ten at 0.75 of which six are right, ten at 0.95 of which all are right."""
    shares = np.array([[0.75, 0.25]] * 10 + [[0.95, 0.05]] * 10)
    truth = [0] * 6 + [1] * 4 + [0] * 10
    assert calibration_error(truth, shares) == pytest.approx(0.5 * 0.15 + 0.5 * 0.05)


def test_certainty_falls_into_the_last_bin() -> None:
    assert calibration_error([0, 0], np.array([[1.0, 0.0], [1.0, 0.0]])) == pytest.approx(0.0)


def test_recall_counts_only_classes_that_occur() -> None:
    assert unweighted_recall([0, 0, 3], [0, 1, 3]) == pytest.approx(0.75)
