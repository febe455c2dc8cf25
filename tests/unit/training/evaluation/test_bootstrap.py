"""Confidence intervals: against scipy's bootstrap, and their coverage in a simulation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import bootstrap, norm, t
from sklearn.metrics import accuracy_score, f1_score, recall_score

from emostream.training.evaluation.bootstrap import paired_gain, paired_gain_by_session, pooled_interval
from emostream.training.evaluation.metrics import MetricName
from emostream.training.evaluation.predictions import FoldPredictions
from tests.support.fake_predictions import result, row_of_fits

SKLEARN = {
    "wa": accuracy_score,
    "ua": lambda truth, predicted: recall_score(truth, predicted, average="macro"),
    "macro_f1": lambda truth, predicted: f1_score(truth, predicted, average="macro"),
}


@pytest.mark.parametrize("metric", ["wa", "ua", "macro_f1"])
def test_the_metric_is_pooled_over_folds_and_averaged_over_seeds(metric: MetricName) -> None:
    fits = row_of_fits("baseline", 0.6, seeds=(0, 1, 2))
    by_seed = []
    for seed in (0, 1, 2):
        part = [fit for fit in fits if fit.seed == seed]
        truth = np.concatenate([fit.truth for fit in part])
        by_seed.append(SKLEARN[metric](truth, np.concatenate([fit.predicted for fit in part])))
    got = pooled_interval(fits[::-1], metric, resamples=100)
    assert got.per_seed == pytest.approx(by_seed)
    assert got.value == pytest.approx(np.mean(by_seed))
    assert (got.unit_kind, got.unit_count) == ("speakers", 9)


def test_a_hand_computed_gain() -> None:
    """Five speakers of two utterances. The first row is right on 8 of 10, the second on 6."""
    truth, speakers = [0, 1] * 5, list("aabbccddee")
    first = result(truth, [0, 1, 0, 1, 0, 1, 0, 1, 1, 0], speakers=speakers, labels="xy")
    second = result(truth, [0, 1, 0, 1, 0, 1, 1, 0, 1, 0], speakers=speakers, labels="xy")
    gain = paired_gain([first], [second], "wa")
    assert gain.value == pytest.approx(0.2)
    # Speaker d alone brings it: the gain of a resample is the share of d in it. At this level (0.1 % beyond)
    # four of five draws lie inside, five outside: P(4) is 0.0064, P(5) 0.0003.
    assert gain.interval.low == 0
    assert gain.interval.high == pytest.approx(0.8)


def test_gains_over_sessions_resample_whole_sessions() -> None:
    """A session as a speaker of its own gives the same interval; of one speaker each there is none."""
    first, second = row_of_fits("a", 0.7, folds=6), row_of_fits("b", 0.6, folds=6)
    sessions = {fit.name: tuple(name.split(".")[0] for name in fit.speakers) for fit in (*first, *second)}
    one, other = ([replace(fit, sessions=sessions[fit.name]) for fit in row] for row in (first, second))
    by_session = paired_gain_by_session(one, other, "ua")
    assert by_session is not None
    one, other = ([replace(fit, speakers=sessions[fit.name]) for fit in row] for row in (first, second))
    expected = paired_gain(one, other, "ua")
    assert (by_session.value, by_session.interval) == (expected.value, expected.interval)
    assert (by_session.unit_kind, by_session.unit_count) == ("sessions", 6)
    one, other = ([replace(fit, sessions=fit.speakers) for fit in row] for row in (first, second))
    assert paired_gain_by_session(one, other, "ua") is None
    assert paired_gain_by_session(first, second, "ua") is None


def test_the_interval_equals_that_of_scipy_at_the_widened_level() -> None:
    first, second = row_of_fits("a", 0.7, folds=4), row_of_fits("b", 0.6, folds=4)
    gain = paired_gain(first, second, "wa", resamples=20_000)
    names = sorted({name for fit in first for name in fit.speakers})
    differences, counts = [], []
    for name in names:
        hits = [
            sum(int((fit.predicted == fit.truth)[np.array(fit.speakers) == name].sum()) for fit in row) / 2
            for row in (first, second)
        ]
        differences.append(hits[0] - hits[1])
        counts.append(12)
    n = len(names)
    reach = t.ppf(0.975, n - 1) * np.sqrt(n / (n - 1))
    theirs = bootstrap(
        (differences, counts),
        lambda hits, sizes, axis=-1: hits.sum(axis) / sizes.sum(axis),
        paired=True,
        vectorized=True,
        n_resamples=20_000,
        method="percentile",
        confidence_level=1 - 2 * norm.cdf(-reach),
        rng=np.random.default_rng(3),
    ).confidence_interval
    assert gain.interval.low == pytest.approx(theirs.low, abs=0.01)
    assert gain.interval.high == pytest.approx(theirs.high, abs=0.01)


def simulated(rng: np.random.Generator, speakers: int) -> tuple[list[FoldPredictions], list[FoldPredictions]]:
    """A first row that is right with 0.7 and a second with 0.6, more or less, by speaker."""
    names = np.repeat(np.arange(speakers), 20)
    truth = np.tile([0, 1], 10 * speakers)
    rows = []
    for accuracy in (0.7, 0.6):
        ease = np.clip(rng.normal(accuracy, 0.1, speakers), 0, 1)
        predicted = np.where(rng.random(len(truth)) < ease[names], truth, 1 - truth)
        rows.append(
            [result(truth.tolist(), predicted.tolist(), speakers=[str(n) for n in names], labels="xy")]
        )
    return rows[0], rows[1]


@pytest.mark.parametrize("speakers", [8, 24])
def test_about_nineteen_of_twenty_intervals_contain_the_true_gain(speakers: int) -> None:
    """Clipping at 1 hardly moves the expectation: the true gain is 0.1. Plain percentiles hold it in 0.85 of
    the cases with six speakers, 0.89 with ten."""
    rng = np.random.default_rng(speakers)
    held = [
        paired_gain(*simulated(rng, speakers), "ua", resamples=500).interval.contains(0.1) for _ in range(300)
    ]
    assert 0.91 < np.mean(held) < 0.98


def test_intervals_over_utterances_are_too_narrow_where_speakers_differ() -> None:
    first, second = simulated(np.random.default_rng(0), 12)
    one, other = ([replace(fit, speakers=("",) * len(fit.keys)) for fit in row] for row in (first, second))
    clustered, loose = paired_gain(first, second, "wa"), paired_gain(one, other, "wa")
    assert clustered.value == loose.value
    assert loose.unit_kind == "utterances"
    assert loose.unit_count == 240
    width = clustered.interval.high - clustered.interval.low
    assert loose.interval.high - loose.interval.low < 0.9 * width


def test_fewer_than_five_speakers_are_not_resampled() -> None:
    fits = row_of_fits("baseline", 0.6, folds=2, speakers_a_fold=2)
    assert pooled_interval(fits, "wa").unit_kind == "utterances"


def test_resampled_utterances_follow_the_binomial_distribution() -> None:
    fits = [result([0] * 200, [0] * 120 + [1] * 80, speakers=[""] * 200, labels="xy")]
    got = pooled_interval(fits, "wa")
    reach = 1.96 * np.sqrt(0.6 * 0.4 / 200)
    assert (got.interval.low, got.interval.high) == pytest.approx((0.6 - reach, 0.6 + reach), abs=0.01)


def test_pairing_makes_the_interval_narrower() -> None:
    """Both rows are wrong on the same utterances and speakers: only the difference counts."""
    first, second = row_of_fits("a", 0.65, folds=6), row_of_fits("b", 0.6, folds=6)
    gain = paired_gain(first, second, "ua")
    alone = [pooled_interval(row, "ua").interval for row in (first, second)]
    unpaired = np.sqrt(sum((one.high - one.low) ** 2 for one in alone))
    assert gain.interval.high - gain.interval.low < 0.7 * unpaired


def test_a_row_has_no_gain_over_itself() -> None:
    fits = row_of_fits("baseline", 0.6)
    gain = paired_gain(fits, fits[::-1], "macro_f1")
    assert (gain.value, gain.interval.low, gain.interval.high) == (0, 0, 0)


def test_the_interval_is_determined_by_the_seed() -> None:
    rows = row_of_fits("a", 0.7), row_of_fits("b", 0.6)
    assert paired_gain(*rows, "ua", seed=4) == paired_gain(*rows, "ua", seed=4)
    assert paired_gain(*rows, "ua", seed=4).interval != paired_gain(*rows, "ua", seed=5).interval


def other_keys(fit: FoldPredictions) -> FoldPredictions:
    return replace(fit, keys=tuple(f"{key}x" for key in fit.keys))


def other_truth(fit: FoldPredictions) -> FoldPredictions:
    return replace(fit, truth=(fit.truth + 1) % 4)


@pytest.mark.parametrize(
    ("second", "what"),
    [
        (row_of_fits("b", 0.6, seeds=(0, 2)), "same seeds"),
        (row_of_fits("b", 0.6, folds=2), "same folds"),
        ([other_keys(fit) for fit in row_of_fits("b", 0.6)], "same keys"),
        ([other_truth(fit) for fit in row_of_fits("b", 0.6)], "same truth"),
        ([replace(fit, labels=("a", "b", "c", "d")) for fit in row_of_fits("b", 0.6)], "same labels"),
    ],
)
def test_unpaired_predictions_are_rejected(second: list[FoldPredictions], what: str) -> None:
    with pytest.raises(ValueError, match=f"a and b: expected the {what}"):
        paired_gain(row_of_fits("a", 0.7), second, "wa")


def test_a_missing_or_duplicate_fit_is_rejected() -> None:
    fits = row_of_fits("a", 0.7)
    with pytest.raises(ValueError, match="expected the same folds and utterances for seeds 0 and 1"):
        pooled_interval(fits[:-1], "wa")
    with pytest.raises(ValueError, match="expected every fold and utterance once"):
        pooled_interval([*fits, fits[0]], "wa")
