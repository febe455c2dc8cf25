"""The rules by which the offset of neutral and the baseline are chosen."""

from __future__ import annotations

import pytest

from emostream.models.baseline import BaselineSettings
from emostream.training.cross_corpus.choice import (
    Choice,
    OffsetScore,
    StreamGain,
    choose_baseline,
    choose_offset,
    largest_loss,
)

SLOW, FAST, MIDDLE = (BaselineSettings(prior_count=n0) for n0 in (20.0, 2.0, 8.0))


def test_the_best_offset_leaves_ordinary_speech_neutral() -> None:
    scores = {
        0.0: OffsetScore(ua=0.60, ordinary=0.99),
        0.3: OffsetScore(ua=0.64, ordinary=0.94),
        0.6: OffsetScore(ua=0.70, ordinary=0.90),
    }
    assert choose_offset(scores) == 0.3


def test_where_no_offset_leaves_enough_neutral_a_difference_by_chance_does_not_count() -> None:
    scores = {
        0.0: OffsetScore(ua=0.60, ordinary=0.92, error=0.03),
        0.3: OffsetScore(ua=0.64, ordinary=0.90, error=0.20),
        0.6: OffsetScore(ua=0.70, ordinary=0.88, error=0.20),
    }
    assert choose_offset(scores) == 0.3
    scores[0.0] = OffsetScore(ua=0.60, ordinary=0.92, error=0.05)
    assert choose_offset(scores) == 0.6
    scores[0.0] = OffsetScore(ua=0.60, ordinary=0.93, error=0.05)
    assert choose_offset(scores) == 0.0


def test_the_best_baseline_costs_no_ua_in_any_kind_of_stream() -> None:
    gains = {
        SLOW: {"balanced": StreamGain(0.03, 0.03), "70 % angry": StreamGain(0.02, -0.005)},
        MIDDLE: {"balanced": StreamGain(0.08, 0.08), "70 % angry": StreamGain(-0.009, -0.20)},
        FAST: {"balanced": StreamGain(0.10, 0.10), "70 % angry": StreamGain(-0.02, 0.0)},
    }
    assert choose_baseline(gains) == MIDDLE
    assert largest_loss(gains[FAST]) == pytest.approx(0.02)


def test_where_every_baseline_costs_something_the_smallest_loss_decides() -> None:
    gains = {
        SLOW: {"balanced": StreamGain(0.03, 0.03), "70 % angry": StreamGain(-0.02, 0.0)},
        FAST: {"balanced": StreamGain(0.10, 0.10), "70 % angry": StreamGain(-0.05, 0.0)},
    }
    assert choose_baseline(gains) == SLOW


def test_nothing_to_choose_from_is_rejected() -> None:
    with pytest.raises(ValueError, match="expected candidates"):
        choose_offset({})
    with pytest.raises(ValueError, match="expected candidates"):
        choose_baseline({})


def test_a_choice_is_told_in_one_line() -> None:
    assert str(Choice(0.3, SLOW)).startswith("neutral offset 0.3, n0 20, ")
