"""Aggregates fits into the rows of a table: mean and standard deviation of every metric over folds and
seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import numpy.typing as npt

from .metrics import ClassificationMetrics, compute_metrics
from .predictions import FoldPredictions


@dataclass(frozen=True, slots=True)
class FitResult:
    """One fit and its metrics on its test fold."""

    predictions: FoldPredictions
    metrics: ClassificationMetrics


@dataclass(frozen=True, slots=True)
class MeanStd:
    """Mean and sample standard deviation; `std` is None for a single value."""

    mean: float
    std: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RowSummary:
    """A row of the table; metrics as shares.

    fits, folds, seeds, utterances: counts; an utterance counts once for all seeds.
    wa, ua, macro_f1, ece: over all fits, one per fold and seed; ece in bins of equal mass.
    pooled_*: over the seeds, with all folds of a seed as one test set.
    """

    row: str
    fits: int
    folds: int
    seeds: int
    utterances: int
    wa: MeanStd
    ua: MeanStd
    macro_f1: MeanStd
    ece: MeanStd
    pooled_wa: MeanStd
    pooled_ua: MeanStd
    pooled_macro_f1: MeanStd
    pooled_ece: MeanStd


def to_fit_results(results: Sequence[FoldPredictions]) -> list[FitResult]:
    """Computes the metrics of every fit."""
    return [FitResult(result, compute_metrics(result.truth, result.probabilities)) for result in results]


def summarise(fits: Sequence[FitResult]) -> list[RowSummary]:
    """One summary per row, in order of first occurrence."""
    rows = dict.fromkeys(fit.predictions.row for fit in fits)
    return [_summary(row, [fit for fit in fits if fit.predictions.row == row]) for row in rows]


def pooled(results: Sequence[FoldPredictions]) -> ClassificationMetrics:
    """Metrics of all these test sets as one."""
    truth = np.concatenate([result.truth for result in results])
    return compute_metrics(truth, np.concatenate([result.probabilities for result in results]))


def pooled_by_seed(results: Sequence[FoldPredictions]) -> list[ClassificationMetrics]:
    """Metrics of all folds of a seed as one test set, in the order of the seeds."""
    ordered = sorted(results, key=_seed)
    return [pooled(list(group)) for _, group in groupby(ordered, key=_seed)]


def mean_std(values: Sequence[float]) -> MeanStd:
    std = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return MeanStd(float(np.mean(values)), std)


def class_recalls(results: Sequence[FoldPredictions]) -> npt.NDArray[np.float64]:
    """(C, S): recall of each class, all folds of a seed together; NaN where a class is absent."""
    confusions = np.array(
        [metrics.confusion for metrics in pooled_by_seed(results)], dtype=np.float64
    )  # (S, C, C)
    sizes = confusions.sum(2)
    hits = np.diagonal(confusions, axis1=1, axis2=2)
    recalls = np.where(sizes > 0, hits / np.maximum(sizes, 1), np.nan)
    return np.asarray(recalls.T, dtype=np.float64)


def _summary(row: str, fits: Sequence[FitResult]) -> RowSummary:
    results = [fit.predictions for fit in fits]
    by_seed = pooled_by_seed(results)

    def aggregate(
        metrics: Sequence[ClassificationMetrics], metric: Callable[[ClassificationMetrics], float]
    ) -> MeanStd:
        return mean_std([metric(m) for m in metrics])

    per_fit = [fit.metrics for fit in fits]
    return RowSummary(
        row=row,
        fits=len(fits),
        folds=len({result.fold for result in results}),
        seeds=len(by_seed),
        utterances=len({key for result in results for key in result.keys}),
        wa=aggregate(per_fit, lambda m: m.wa),
        ua=aggregate(per_fit, lambda m: m.ua),
        macro_f1=aggregate(per_fit, lambda m: m.macro_f1),
        ece=aggregate(per_fit, lambda m: m.ece_equal_mass),
        pooled_wa=aggregate(by_seed, lambda m: m.wa),
        pooled_ua=aggregate(by_seed, lambda m: m.ua),
        pooled_macro_f1=aggregate(by_seed, lambda m: m.macro_f1),
        pooled_ece=aggregate(by_seed, lambda m: m.ece_equal_mass),
    )


def _seed(result: FoldPredictions) -> int:
    return result.seed
