"""Figures of a classifier from labels, guesses and probabilities. scikit-learn where it has them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, log_loss, recall_score


@dataclass(frozen=True, slots=True)
class Figures:
    """count: clips. ua: mean recall per class. wa: accuracy. ece: expected calibration error, 10 bins.

    nll: mean negative log-likelihood, nats. brier: mean squared distance to the one-hot truth, 0 to 2.
    confusion: rows are the truth, columns the guess, both in label order.
    """

    count: int
    ua: float
    wa: float
    macro_f1: float
    ece: float
    nll: float
    brier: float
    confusion: list[list[int]]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def unweighted_recall(truth: Sequence[int], guesses: Sequence[int]) -> float:
    """Mean recall over the classes that occur."""
    return float(recall_score(truth, guesses, average="macro", labels=sorted(set(truth)), zero_division=0.0))


def figures(truth: Sequence[int], probabilities: npt.NDArray[np.float64]) -> Figures:
    """truth: N class indices; probabilities: (N, C)."""
    classes = list(range(probabilities.shape[1]))
    guesses = probabilities.argmax(1)
    one_hot = np.eye(len(classes))[list(truth)]
    return Figures(
        count=len(truth),
        ua=unweighted_recall(truth, guesses.tolist()),
        wa=float(accuracy_score(truth, guesses)),
        macro_f1=float(f1_score(truth, guesses, average="macro", labels=classes, zero_division=0.0)),
        ece=calibration_error(truth, probabilities),
        nll=float(log_loss(truth, probabilities, labels=classes)),
        brier=float(((probabilities - one_hot) ** 2).sum(1).mean()),
        confusion=confusion_matrix(truth, guesses, labels=classes).tolist(),
    )


def calibration_error(truth: Sequence[int], probabilities: npt.NDArray[np.float64], bins: int = 10) -> float:
    """Mean gap between confidence and accuracy over equal-width bins (Guo et al., arXiv 1706.04599)."""
    confidence = probabilities.max(1)
    right = probabilities.argmax(1) == np.asarray(truth)
    which = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = [
        (which == index).mean() * abs(right[which == index].mean() - confidence[which == index].mean())
        for index in range(bins)
        if (which == index).any()
    ]
    return float(sum(gaps))
