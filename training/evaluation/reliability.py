"""Reliability of the probabilities: calibration error beside its value for a calibrated model, and
selectivity.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from .metrics import calibration_error, confusion_matrix

COVERAGE: Final = 0.75
"""Share of the clips that selective UA keeps: the most confident ones."""
_DRAWS: Final = 500


@dataclass(frozen=True, slots=True)
class ReliabilityStats:
    """How far the confidences can be relied on; all values are shares.

    calibration_error: expected calibration error (ECE), 10 bins of equal mass. ece_if_calibrated: its
    mean for a perfectly calibrated model of the same confidences; with few clips it is not zero.
    selective_ua: UA of the most confident COVERAGE of the clips, where a label that none of them has counts
    as recall 0. selective_gain: over the UA of all clips.
    """

    calibration_error: float
    ece_if_calibrated: float
    selective_ua: float
    selective_gain: float

    @property
    def excess(self) -> float:
        """The part of the calibration error that chance does not explain."""
        return self.calibration_error - self.ece_if_calibrated

    def as_dict(self) -> dict[str, float]:
        return asdict(self) | {"excess": self.excess}


def reliability_stats(
    truth: npt.NDArray[np.int64], probabilities: npt.NDArray[np.float64]
) -> ReliabilityStats:
    """truth: (N,) class indices; probabilities: (N, C)."""
    predicted, confidence = probabilities.argmax(1), probabilities.max(1)
    most_confident = np.argsort(-confidence, kind="stable")[: max(1, round(COVERAGE * len(truth)))]
    occurring = np.unique(truth)

    def recall(truth: npt.NDArray[np.int64], predicted: npt.NDArray[np.int64]) -> float:
        confusion = confusion_matrix(truth, predicted, probabilities.shape[1])[occurring]
        hits = confusion[np.arange(len(occurring)), occurring]
        return float((hits / np.maximum(confusion.sum(1), 1)).mean())

    ua, selective_ua = recall(truth, predicted), recall(truth[most_confident], predicted[most_confident])
    return ReliabilityStats(
        calibration_error(truth, probabilities, binning="equal mass"),
        ece_if_calibrated(probabilities),
        selective_ua,
        selective_ua - ua,
    )


def ece_if_calibrated(probabilities: npt.NDArray[np.float64], draws: int = _DRAWS) -> float:
    """(N, C) -> the mean calibration error over draws of every true label from its own row."""
    rng = np.random.default_rng(0)
    cumulative = probabilities.cumsum(1)
    errors = []
    for _ in range(draws):
        uniform = rng.random((len(probabilities), 1)) * cumulative[:, -1:]
        drawn = (uniform > cumulative).sum(1)
        errors.append(calibration_error(drawn, probabilities, binning="equal mass"))
    return float(np.mean(errors))
