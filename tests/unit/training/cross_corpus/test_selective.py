"""Selective classification, against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from emostream.training.cross_corpus.selective import (
    risk_curve,
    selective_metrics,
    threshold_for_risk,
)


def test_a_perfect_order_closes_the_gap_and_a_constant_closes_none() -> None:
    wrong = np.array([False] * 6 + [True] * 4)
    perfect = selective_metrics(wrong.astype(float), wrong)
    assert perfect.closed == pytest.approx(1.0)
    assert perfect.at[0] == 0.0
    assert selective_metrics(np.full(10, 0.3), wrong).closed == pytest.approx(0.0)
    assert selective_metrics(-wrong.astype(float), wrong).closed < 0.0


def test_the_risk_curve_counts_from_the_most_trusted() -> None:
    order = np.array([0.1, 0.9, 0.5, 0.2])
    wrong = np.array([False, True, True, False])
    np.testing.assert_allclose(risk_curve(order, wrong), [0, 0, 1 / 3, 2 / 4])
    tied = risk_curve(np.zeros(4), wrong)
    np.testing.assert_allclose(tied, [0.5, 0.5, 0.5, 0.5])


def test_the_threshold_holds_on_the_worst_group() -> None:
    p = np.array([0.1, 0.2, 0.3, 0.4] * 2)
    wrong = np.array([False, False, False, True, False, True, True, True])
    groups = ["easy"] * 4 + ["hard"] * 4
    threshold, coverage = threshold_for_risk(p, wrong, groups, 0.5)
    accepted = p <= threshold
    assert wrong[4:][accepted[4:]].mean() <= 0.5
    assert coverage == {"easy": 0.5, "hard": 0.5}
    assert threshold_for_risk(p, wrong, groups, 1.0)[0] == 0.4


def test_an_empty_list_is_rejected() -> None:
    with pytest.raises(ValueError, match="expected predictions"):
        selective_metrics(np.zeros(0), np.zeros(0, bool))
