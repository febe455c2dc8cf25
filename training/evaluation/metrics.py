"""Metrics of a classifier from true labels, predicted labels and probabilities.

Computed from confusion matrices, thousands of them at once where an interval is resampled. scikit-learn's own
functions are a hundred times slower per call; the tests compare with them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

MetricName = Literal["wa", "ua", "macro_f1"]
Binning = Literal["equal width", "equal mass"]

BINS: Final = 10


@dataclass(frozen=True, slots=True)
class ClassificationMetrics:
    """Metrics of one test set.

    count: clips. ua: unweighted accuracy, the mean recall per class. wa: weighted accuracy, the share
    correct. macro_f1: over the classes that occur.
    ece, ece_equal_mass: expected calibration error over 10 bins of equal width, of equal mass.
    nll: mean negative log-likelihood, nats. brier: mean squared distance to the one-hot truth, 0 to 2.
    confusion: rows are true labels, columns predicted labels, both in label order.
    """

    count: int
    ua: float
    wa: float
    macro_f1: float
    ece: float
    ece_equal_mass: float
    nll: float
    brier: float
    confusion: list[list[int]]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True, eq=False)
class ReliabilityCurve:
    """A reliability diagram: one entry for each bin that holds a clip, the least confident first.

    low, high: (B,) edges of the bins. confidence, accuracy: (B,) means inside them. counts: (B,) clips.
    """

    low: npt.NDArray[np.float64]
    high: npt.NDArray[np.float64]
    confidence: npt.NDArray[np.float64]
    accuracy: npt.NDArray[np.float64]
    counts: npt.NDArray[np.int64]

    @property
    def error(self) -> float:
        """The expected calibration error: the mean gap, each bin by its share of the clips."""
        gaps = np.abs(self.accuracy - self.confidence)
        return float((self.counts / self.counts.sum() * gaps).sum())


def unweighted_recall(truth: Sequence[int], predicted: Sequence[int]) -> float:
    """Mean recall over the classes that occur."""
    classes = max(*truth, *predicted) + 1
    return float(confusion_metric(confusion_matrix(np.asarray(truth), np.asarray(predicted), classes), "ua"))


def confusion_matrix(
    truth: npt.NDArray[np.int64], predicted: npt.NDArray[np.int64], classes: int
) -> npt.NDArray[np.int64]:
    """(classes, classes) counts, rows the true labels, columns the predicted ones."""
    return np.bincount(truth * classes + predicted, minlength=classes**2).reshape(classes, classes)


def compute_metrics(
    truth: Sequence[int] | npt.NDArray[np.int64], probabilities: npt.NDArray[np.float64]
) -> ClassificationMetrics:
    """truth: N class indices; probabilities: (N, C)."""
    truth = np.asarray(truth, dtype=np.int64)
    count, classes = probabilities.shape
    confusion = confusion_matrix(truth, probabilities.argmax(1), classes)
    given = np.maximum(probabilities[np.arange(count), truth], np.finfo(np.float64).eps)
    return ClassificationMetrics(
        count=count,
        ua=float(confusion_metric(confusion, "ua")),
        wa=float(confusion_metric(confusion, "wa")),
        macro_f1=float(confusion_metric(confusion, "macro_f1")),
        ece=calibration_error(truth, probabilities),
        ece_equal_mass=calibration_error(truth, probabilities, binning="equal mass"),
        nll=float(-np.log(given).mean()),
        brier=float(((probabilities - np.eye(classes)[truth]) ** 2).sum(1).mean()),
        confusion=confusion.tolist(),
    )


def confusion_metric(confusion: npt.NDArray[Any], metric: MetricName) -> npt.NDArray[np.float64]:
    """The metric of each of many confusion matrices at once: (..., C, C), truth by prediction -> (...)."""
    hits = np.diagonal(confusion, axis1=-2, axis2=-1)
    truth, predicted = confusion.sum(-1), confusion.sum(-2)
    if metric == "wa":
        return np.asarray(hits.sum(-1) / truth.sum(-1), dtype=np.float64)
    shares, sizes = (hits, truth) if metric == "ua" else (2 * hits, truth + predicted)
    per_class = shares / np.maximum(sizes, 1)
    return np.asarray(per_class.sum(-1) / (sizes > 0).sum(-1), dtype=np.float64)


def calibration_error(
    truth: Sequence[int] | npt.NDArray[np.int64],
    probabilities: npt.NDArray[np.float64],
    bins: int = BINS,
    binning: Binning = "equal width",
) -> float:
    """Mean gap between confidence and accuracy over the bins (Guo et al., arXiv 1706.04599)."""
    return reliability_curve(truth, probabilities, bins, binning).error


def reliability_curve(
    truth: Sequence[int] | npt.NDArray[np.int64],
    probabilities: npt.NDArray[np.float64],
    bins: int = BINS,
    binning: Binning = "equal width",
) -> ReliabilityCurve:
    """The curve of the reliability diagram. truth: N class indices; probabilities: (N, C).

    Bins of equal mass end at quantiles of the confidence, so that a confident model does not put all clips
    into the last bin (Nixon et al., arXiv 1904.01685); equal confidences share a bin, whatever their order.
    """
    confidence = probabilities.max(1)
    right = probabilities.argmax(1) == np.asarray(truth)
    edges = np.linspace(0, 1, bins + 1)
    if binning == "equal width":
        which = np.minimum((confidence * bins).astype(int), bins - 1)
    else:
        edges = np.quantile(confidence, edges)
        which = np.searchsorted(edges[1:-1], confidence, side="right")
    counts = np.bincount(which, minlength=bins)
    full = counts > 0
    means = [np.bincount(which, values, bins)[full] / counts[full] for values in (confidence, right)]
    return ReliabilityCurve(edges[:-1][full], edges[1:][full], means[0], means[1], counts[full])
