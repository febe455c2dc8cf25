"""Reliability of probabilities: calibration error, its value for a calibrated model, selective UA."""

from __future__ import annotations

import numpy as np
import pytest

from emostream.training.evaluation.metrics import calibration_error
from emostream.training.evaluation.reliability import ece_if_calibrated, reliability_stats


def random_probabilities(count: int, seed: int = 0, sharp: float = 3.0) -> np.ndarray:
    logits = sharp * np.random.default_rng(seed).standard_normal((count, 4))
    odds = np.exp(logits)
    return np.asarray(odds / odds.sum(1, keepdims=True))


def draw_labels(probabilities: np.ndarray, seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.array([rng.choice(4, p=row) for row in probabilities])


def test_a_calibrated_model_has_no_excess_error() -> None:
    probabilities = random_probabilities(4000)
    stats = reliability_stats(draw_labels(probabilities), probabilities)
    assert abs(stats.excess) < 0.01
    assert stats.calibration_error > 0


def test_an_overconfident_model_has_excess_error() -> None:
    calibrated = random_probabilities(4000, sharp=1.0)
    overconfident = calibrated**3 / (calibrated**3).sum(1, keepdims=True)
    assert reliability_stats(draw_labels(calibrated), overconfident).excess > 0.1


def test_ece_if_calibrated_is_the_mean_over_labels_drawn_from_the_model() -> None:
    probabilities = random_probabilities(200)
    errors = [
        calibration_error(draw_labels(probabilities, seed), probabilities, binning="equal mass")
        for seed in range(300)
    ]
    assert ece_if_calibrated(probabilities) == pytest.approx(np.mean(errors), abs=0.004)


def test_selective_ua_is_that_of_the_most_confident_clips() -> None:
    """Three confident clips are right, the least confident fourth is wrong."""
    probabilities = np.array(
        [[0.9, 0.1, 0.0, 0.0], [0.1, 0.9, 0.0, 0.0], [0.95, 0.05, 0.0, 0.0], [0.4, 0.6, 0.0, 0.0]]
    )
    stats = reliability_stats(np.array([0, 1, 0, 0]), probabilities)
    assert stats.selective_ua == 1.0
    assert stats.selective_gain == pytest.approx(1.0 - (2 / 3 + 1.0) / 2)


def test_a_label_that_no_confident_clip_has_counts_as_recall_0() -> None:
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.9, 0.1], [0.4, 0.6]])
    stats = reliability_stats(np.array([0, 0, 0, 1]), probabilities)
    assert (stats.selective_ua, stats.selective_gain) == (0.5, -0.5)
