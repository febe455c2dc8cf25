"""Whether a probability can be relied on: beside the calibration error, what chance alone makes of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from .metrics import calibration_error, confusion_matrix

COVERAGE: Final = 0.75
_DRAWS: Final = 500


@dataclass(frozen=True, slots=True)
class ReliabilityStats:
    """Shares. calibration_error: 10 bins of equal mass. ece_if_calibrated: the mean of what a model of the
    same confidences would show if each were exactly right: with few clips it is not zero. selective_ua: of
    the most certain COVERAGE of the clips, a label that none of them has being recalled by 0; selective_gain:
    over the UA of all.
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


def trust(truth: npt.NDArray[np.int64], probabilities: npt.NDArray[np.float64]) -> ReliabilityStats:
    """truth: (N,) class indices; probabilities: (N, C)."""
    guesses, confidence = probabilities.argmax(1), probabilities.max(1)
    certain = np.argsort(-confidence, kind="stable")[: max(1, round(COVERAGE * len(truth)))]
    occurring = np.unique(truth)

    def recall(truth: npt.NDArray[np.int64], guesses: npt.NDArray[np.int64]) -> float:
        confusion = confusion_matrix(truth, guesses, probabilities.shape[1])[occurring]
        hits = confusion[np.arange(len(occurring)), occurring]
        return float((hits / np.maximum(confusion.sum(1), 1)).mean())

    of_all, of_certain = recall(truth, guesses), recall(truth[certain], guesses[certain])
    return ReliabilityStats(
        calibration_error(truth, probabilities, binning="equal mass"),
        ece_if_calibrated(probabilities),
        of_certain,
        of_certain - of_all,
    )


def ece_if_calibrated(probabilities: npt.NDArray[np.float64], draws: int = _DRAWS) -> float:
    """(N, C) -> the mean calibration error where every truth is drawn from its own row."""
    rng = np.random.default_rng(0)
    steps = probabilities.cumsum(1)
    errors = []
    for _ in range(draws):
        luck = rng.random((len(probabilities), 1)) * steps[:, -1:]
        drawn = (luck > steps).sum(1)
        errors.append(calibration_error(drawn, probabilities, binning="equal mass"))
    return float(np.mean(errors))
