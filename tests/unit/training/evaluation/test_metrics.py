"""Metrics, against hand-computed cases and scikit-learn."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, log_loss, recall_score

from emostream.training.evaluation.metrics import (
    calibration_error,
    compute_metrics,
    confusion_metric,
    reliability_curve,
    unweighted_recall,
)

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
    got = compute_metrics(TRUTH, SHARES)
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


def test_a_confidence_of_1_is_in_the_last_bin() -> None:
    assert calibration_error([0, 0], np.array([[1.0, 0.0], [1.0, 0.0]])) == pytest.approx(0.0)


def test_recall_counts_only_classes_that_occur() -> None:
    assert unweighted_recall([0, 0, 3], [0, 1, 3]) == pytest.approx(0.75)


@pytest.mark.parametrize("classes", [2, 4, 8])
def test_against_scikit_learn(classes: int) -> None:
    rng = np.random.default_rng(classes)
    truth = rng.integers(0, classes, 300)
    shares = rng.dirichlet(np.ones(classes), 300)
    predicted = shares.argmax(1)
    got = compute_metrics(truth, shares)
    assert got.wa == pytest.approx(accuracy_score(truth, predicted))
    assert got.ua == pytest.approx(recall_score(truth, predicted, average="macro"))
    assert got.macro_f1 == pytest.approx(f1_score(truth, predicted, average="macro"))
    assert got.nll == pytest.approx(log_loss(truth, shares))
    assert got.confusion == confusion_matrix(truth, predicted).tolist()


def test_a_class_that_does_not_occur_is_ignored() -> None:
    """Class 3 is in neither; class 2 is guessed without being there, which costs F1 but no recall."""
    truth, predicted = [0, 0, 1, 1], [0, 2, 1, 1]
    got = compute_metrics(truth, np.eye(4)[predicted])
    assert got.ua == pytest.approx(recall_score(truth, predicted, average="macro", labels=[0, 1]))
    assert got.macro_f1 == pytest.approx(f1_score(truth, predicted, average="macro", zero_division=0))
    assert got.macro_f1 == pytest.approx((2 / 3 + 1 + 0) / 3)


def test_the_log_loss_of_a_confident_error_is_bounded() -> None:
    assert compute_metrics([1], np.array([[1.0, 0.0]])).nll == pytest.approx(-math.log(np.finfo(float).eps))


@pytest.mark.parametrize("metric", ["wa", "ua", "macro_f1"])
def test_many_confusion_matrices_at_once(metric: Literal["wa", "ua", "macro_f1"]) -> None:
    confusions = np.random.default_rng(0).integers(0, 9, (3, 5, 4, 4))
    got = confusion_metric(confusions, metric)
    assert got.shape == (3, 5)
    one_by_one = [[confusion_metric(confusion, metric) for confusion in row] for row in confusions]
    np.testing.assert_allclose(got, one_by_one)


def confident(*confidences: float) -> np.ndarray:
    return np.array([[confidence, 1 - confidence] for confidence in confidences])


def test_bins_of_equal_mass_have_equally_many_clips() -> None:
    rng = np.random.default_rng(0)
    shares = confident(*rng.uniform(0.9, 1.0, 200))
    curve = reliability_curve(rng.integers(0, 2, 200), shares, binning="equal mass")
    assert curve.counts.tolist() == [20] * 10
    assert len(reliability_curve([0] * 200, shares, binning="equal width").counts) == 1  # all in the last


def test_the_curve_of_four_clips_in_two_bins() -> None:
    curve = reliability_curve([0, 1, 0, 0], confident(0.55, 0.65, 0.8, 0.9), bins=2, binning="equal mass")
    assert curve.confidence.tolist() == pytest.approx([0.6, 0.85])
    assert curve.accuracy.tolist() == [0.5, 1.0]
    assert curve.low.tolist() == pytest.approx([0.55, 0.725])
    assert curve.high.tolist() == pytest.approx([0.725, 0.9])
    assert curve.error == pytest.approx((0.1 + 0.15) / 2)


def test_equal_confidences_share_a_bin_whatever_their_order() -> None:
    truth = np.array([0, 1] * 10)
    shares = confident(*[0.7] * 15, *[0.9] * 5)
    order = np.random.default_rng(0).permutation(20)
    curve = reliability_curve(truth, shares, binning="equal mass")
    assert sorted(curve.counts.tolist()) == [5, 15]
    assert reliability_curve(truth[order], shares[order], binning="equal mass").error == pytest.approx(
        curve.error
    )


def test_equal_mass_bins_detect_errors_that_equal_width_bins_average_out() -> None:
    """Ten overconfident clips at 0.91 and ten underconfident ones at 0.99 share a bin of equal width."""
    shares = confident(*[0.91] * 10, *[0.99] * 10)
    truth = [1] * 1 + [0] * 9 + [0] * 10
    assert calibration_error(truth, shares) == pytest.approx(0.0)
    assert calibration_error(truth, shares, binning="equal mass") == pytest.approx(0.01)
