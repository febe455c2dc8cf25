"""From fits to the lines of a table: mean and deviation of every figure over folds and seeds."""

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
    """One fit, and what it reached on its test fold."""

    result: FoldPredictions
    metrics: ClassificationMetrics


@dataclass(frozen=True, slots=True)
class MeanStd:
    """deviation: of the sample, over what `mean` is the mean of; None where that is one value."""

    mean: float
    deviation: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RowSummary:
    """A line of the table; figures as shares.

    fits, folds, seeds, utterances: how many; an utterance counts once, whatever the seeds.
    wa, ua, macro_f1, ece: over all fits, of each fold and each seed; ece in bins of equal mass.
    pooled_*: over the seeds, of all folds of a seed as one test set.
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


def judged(results: Sequence[FoldPredictions]) -> list[FitResult]:
    return [FitResult(result, compute_metrics(result.truth, result.probabilities)) for result in results]


def summarise(fits: Sequence[FitResult]) -> list[RowSummary]:
    """One line a row, in the order in which rows come first."""
    rows = dict.fromkeys(fit.result.row for fit in fits)
    return [_summary(row, [fit for fit in fits if fit.result.row == row]) for row in rows]


def pooled(results: Sequence[FoldPredictions]) -> ClassificationMetrics:
    """Of all these test sets as one."""
    truth = np.concatenate([result.truth for result in results])
    return compute_metrics(truth, np.concatenate([result.probabilities for result in results]))


def pooled_by_seed(results: Sequence[FoldPredictions]) -> list[ClassificationMetrics]:
    """All folds of a seed as one test set, in the order of the seeds."""
    ordered = sorted(results, key=_seed)
    return [pooled(list(group)) for _, group in groupby(ordered, key=_seed)]


def spread(values: Sequence[float]) -> MeanStd:
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return MeanStd(float(np.mean(values)), deviation)


def class_recalls(results: Sequence[FoldPredictions]) -> npt.NDArray[np.float64]:
    """(C, S): recall of each class, all folds of a seed together; not a number where a class is absent."""
    confusions = np.array([one.confusion for one in pooled_by_seed(results)], dtype=np.float64)  # (S, C, C)
    sizes = confusions.sum(2)
    hits = np.diagonal(confusions, axis1=1, axis2=2)
    recalls = np.where(sizes > 0, hits / np.maximum(sizes, 1), np.nan)
    return np.asarray(recalls.T, dtype=np.float64)


def _summary(row: str, fits: Sequence[FitResult]) -> RowSummary:
    results = [fit.result for fit in fits]
    by_seed = pooled_by_seed(results)

    def over(
        metrics: Sequence[ClassificationMetrics], figure: Callable[[ClassificationMetrics], float]
    ) -> MeanStd:
        return spread([figure(one) for one in metrics])

    each = [fit.metrics for fit in fits]
    return RowSummary(
        row=row,
        fits=len(fits),
        folds=len({result.fold for result in results}),
        seeds=len(by_seed),
        utterances=len({key for result in results for key in result.keys}),
        wa=over(each, lambda one: one.wa),
        ua=over(each, lambda one: one.ua),
        macro_f1=over(each, lambda one: one.macro_f1),
        ece=over(each, lambda one: one.ece_equal_mass),
        pooled_wa=over(by_seed, lambda one: one.wa),
        pooled_ua=over(by_seed, lambda one: one.ua),
        pooled_macro_f1=over(by_seed, lambda one: one.macro_f1),
        pooled_ece=over(by_seed, lambda one: one.ece_equal_mass),
    )


def _seed(result: FoldPredictions) -> int:
    return result.seed
