"""Confidence intervals of a metric, or of the gain of one row over another, by bootstrap over speakers.

Predictions for one speaker are correlated, so speakers are resampled, not utterances; and people who talk to
each other share dialogues, so gains have a second interval over sessions. All rows, seeds and
metrics of a comparison share the draws: that is what makes it paired. The interval covers the variation over
speakers; the variation over seeds is in `Estimate.per_seed`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
from scipy.stats import norm, t

from .metrics import MetricName, confusion_metric
from .predictions import FoldPredictions

ResamplingUnit = Literal["speakers", "sessions", "utterances"]

LEVEL: Final = 0.95
RESAMPLES: Final = 10_000
MIN_SPEAKERS: Final = 5
"""With fewer, resampling speakers is meaningless, and utterances are resampled. The same for sessions, whose
interval is then left out.
"""


@dataclass(frozen=True, slots=True)
class Interval:
    """A closed interval."""

    low: float
    high: float

    def contains(self, value: float) -> bool:
        return self.low <= value <= self.high


@dataclass(frozen=True, slots=True)
class Estimate:
    """A metric or a gain, as a share (0.01 is one point). per_seed: its value for each seed, in seed order.

    value: the mean over the seeds of the metric pooled over all folds. interval: 95 %.
    unit_kind: what was resampled, `unit_count` of them; utterances where speakers are unknown or fewer than
    five.
    """

    value: float
    interval: Interval
    per_seed: tuple[float, ...]
    unit_kind: ResamplingUnit
    unit_count: int


@dataclass(frozen=True, slots=True, eq=False)
class _Pool:
    """All folds of a row together, utterances in the order of their keys. predicted: (S seeds, N)."""

    labels: tuple[str, ...]
    seeds: tuple[int, ...]
    folds: tuple[str, ...]
    keys: tuple[str, ...]
    speakers: tuple[str, ...]
    sessions: tuple[str, ...]
    truth: npt.NDArray[np.int64]
    predicted: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class _Units:
    """The resampling units: `draws` of them in a resample, each with the probability in `shares` (U,).

    confusions: (U, R rows, S seeds, C, C), what one draw of the unit adds, truth by predicted label.
    """

    unit_kind: ResamplingUnit
    draws: int
    shares: npt.NDArray[np.float64]
    confusions: npt.NDArray[np.float64]


def paired_gain(
    first: Sequence[FoldPredictions],
    second: Sequence[FoldPredictions],
    metric: MetricName,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Estimate:
    """How much better `first` is than `second`: the difference of their metrics.

    Raises ValueError unless both hold the same folds, seeds, utterances, speakers and truth.
    """
    one, predicted = _paired(first, second)
    units = _resampling_units(one, predicted)
    return _estimate(units, metric, np.array([1.0, -1.0]), resamples, seed)


def paired_gain_by_session(
    first: Sequence[FoldPredictions],
    second: Sequence[FoldPredictions],
    metric: MetricName,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Estimate | None:
    """The same over sessions; None where they are unknown, fewer than five, or of one speaker each.

    Raises ValueError as `paired_gain` does.
    """
    one, predicted = _paired(first, second)
    names = set(one.sessions)
    if "" in names or len(names) < MIN_SPEAKERS or len(names) == len(set(one.speakers)):
        return None
    units = _whole_units(one, predicted, one.sessions, "sessions")
    return _estimate(units, metric, np.array([1.0, -1.0]), resamples, seed)


def _paired(
    first: Sequence[FoldPredictions], second: Sequence[FoldPredictions]
) -> tuple[_Pool, npt.NDArray[np.int64]]:
    """What both rows share, and what either predicts (2, S, N)."""
    one, other = _pool(first), _pool(second)
    for what in ("labels", "seeds", "folds", "keys", "speakers"):
        if getattr(one, what) != getattr(other, what):
            raise ValueError(f"{first[0].row} and {second[0].row}: expected the same {what}, got others")
    if not np.array_equal(one.truth, other.truth):
        raise ValueError(f"{first[0].row} and {second[0].row}: expected the same truth, got another")
    return one, np.stack([one.predicted, other.predicted])


def pooled_interval(
    results: Sequence[FoldPredictions], metric: MetricName, *, resamples: int = RESAMPLES, seed: int = 0
) -> Estimate:
    """The metric of one row with its interval. Raises ValueError unless every seed has the same folds and
    utterances.
    """
    pool = _pool(results)
    return _estimate(_resampling_units(pool, pool.predicted[None]), metric, np.ones(1), resamples, seed)


def _estimate(
    units: _Units, metric: MetricName, signs: npt.NDArray[np.float64], resamples: int, seed: int
) -> Estimate:
    """signs: (R,) the sign with which each row's metric enters."""
    weights = np.random.default_rng(seed).multinomial(units.draws, units.shares, size=resamples)
    flat = units.confusions.reshape(len(units.shares), -1)
    drawn = (weights.astype(np.float64) @ flat).reshape(resamples, *units.confusions.shape[1:])
    values = signs @ confusion_metric(drawn, metric).mean(-1).T
    low, high = np.quantile(values, _tails(units.draws))
    all_units = np.tensordot(np.rint(units.shares * units.draws), units.confusions, 1)
    per_seed = signs @ confusion_metric(all_units, metric)
    interval = Interval(float(low), float(high))
    return Estimate(float(per_seed.mean()), interval, tuple(per_seed.tolist()), units.unit_kind, units.draws)


def _tails(count: int) -> tuple[float, float]:
    """The quantiles of the resampled metrics that bound the interval.

    Plain percentile intervals of few units are too narrow. These reach further out: by Student's t instead of
    the normal distribution, and by the sample's deviation instead of that of the resamples (Hesterberg's
    expanded percentile interval, arXiv 1411.5279).
    """
    reach = t.ppf((1 + LEVEL) / 2, count - 1) * np.sqrt(count / (count - 1))
    tail = float(norm.cdf(-reach))
    return tail, 1 - tail


def _resampling_units(pool: _Pool, predicted: npt.NDArray[np.int64]) -> _Units:
    """predicted: (R, S, N)."""
    if len(set(pool.speakers)) >= MIN_SPEAKERS and "" not in pool.speakers:
        return _whole_units(pool, predicted, pool.speakers, "speakers")
    cells, count = _cells(pool, predicted), len(pool.keys)
    # Drawing utterances is drawing their distinct predictions, each as often as it occurs.
    distinct, times = np.unique(cells.reshape(-1, count), axis=1, return_counts=True)
    cells = distinct.reshape(*predicted.shape[:2], -1)
    return _units(cells, np.arange(len(times)), len(pool.labels), times / count, "utterances", count)


def _whole_units(
    pool: _Pool, predicted: npt.NDArray[np.int64], of: Sequence[str], unit_kind: ResamplingUnit
) -> _Units:
    """of: (N,) the unit of each utterance."""
    names = sorted(set(of))
    shares = np.full(len(names), 1 / len(names))
    unit = np.searchsorted(names, of)
    return _units(_cells(pool, predicted), unit, len(pool.labels), shares, unit_kind, len(names))


def _cells(pool: _Pool, predicted: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """(R, S, N): index of each prediction into its flat confusion matrix."""
    return pool.truth * len(pool.labels) + predicted


def _units(
    cells: npt.NDArray[np.int64],
    unit: npt.NDArray[np.int64],
    classes: int,
    shares: npt.NDArray[np.float64],
    unit_kind: ResamplingUnit,
    draws: int,
) -> _Units:
    confusions = np.zeros((len(shares), *cells.shape[:2], classes**2))
    rows, seeds = np.ogrid[: cells.shape[0], : cells.shape[1]]
    np.add.at(confusions, (unit, rows[..., None], seeds[..., None], cells), 1)
    return _Units(unit_kind, draws, shares, confusions.reshape(*confusions.shape[:3], classes, classes))


def _pool(results: Sequence[FoldPredictions]) -> _Pool:
    seeds = tuple(sorted({result.seed for result in results}))
    pools = [_pool_of_seed([result for result in results if result.seed == seed]) for seed in seeds]
    first = pools[0]
    for pool in pools[1:]:
        same = (pool.folds, pool.keys, pool.speakers) == (first.folds, first.keys, first.speakers)
        if not same or not np.array_equal(pool.truth, first.truth):
            raise ValueError(
                f"{results[0].row}: expected the same folds and utterances for seeds "
                f"{first.seeds[0]} and {pool.seeds[0]}, got others"
            )
    return replace(first, seeds=seeds, predicted=np.concatenate([pool.predicted for pool in pools]))


def _pool_of_seed(results: Sequence[FoldPredictions]) -> _Pool:
    """Raises ValueError where a fold, or an utterance in two folds, occurs twice."""
    keys = np.array([key for result in results for key in result.keys])
    speakers = np.array([speaker for result in results for speaker in result.speakers])
    sessions = np.array([name for result in results for name in result.sessions or [""] * len(result.keys)])
    order = np.argsort(keys, kind="stable")
    folds = tuple(sorted(result.fold for result in results))
    name = f"{results[0].row}, seed {results[0].seed}"
    if len(set(folds)) < len(folds) or len(set(keys.tolist())) < len(keys):
        raise ValueError(f"{name}: expected every fold and utterance once, got some twice")
    if len({result.labels for result in results}) > 1:
        raise ValueError(f"{name}: expected the same labels in every fold, got others")
    return _Pool(
        labels=results[0].labels,
        seeds=(results[0].seed,),
        folds=folds,
        keys=tuple(keys[order].tolist()),
        speakers=tuple(speakers[order].tolist()),
        sessions=tuple(sessions[order].tolist()),
        truth=np.concatenate([result.truth for result in results])[order],
        predicted=np.concatenate([result.predicted for result in results])[order][None],
    )
