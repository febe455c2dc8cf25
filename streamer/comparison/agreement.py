"""How far two sets of labels agree."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from ..summary.statistics import ordered_labels
from .labels import Label

_RESAMPLES: Final = 2_000
_INTERVAL: Final = (2.5, 97.5)


@dataclass(frozen=True, slots=True)
class Estimate:
    """low, high: the 95 % interval, by resampling recordings; None where there is one recording."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class ClassAgreement:
    """Of one label, the second set taken as the truth. precision, recall, f1: None where they are 0 / 0."""

    label: str
    first: int
    second: int
    precision: float | None
    recall: float | None
    f1: float | None


@dataclass(frozen=True, slots=True)
class Agreement:
    """share: of the pairs with the same label. kappa: Cohen's (1960): agreement beyond what the two sets' own
    frequencies give by chance; None where there is one label alone. balanced: the mean recall of the second
    set's labels. confusion: (labels of the second set, labels of the first), how often.
    """

    labels: Sequence[str]
    share: Estimate
    kappa: Estimate | None
    balanced: Estimate
    classes: Sequence[ClassAgreement]
    confusion: npt.NDArray[np.int64]


def agreement(pairs: Sequence[tuple[Label, Label]]) -> Agreement:
    """pairs: at least one. The intervals are the same in every run."""
    labels = ordered_labels(label.label for both in pairs for label in both)
    place = {label: number for number, label in enumerate(labels)}
    of_recording: dict[str, npt.NDArray[np.int64]] = defaultdict(
        lambda: np.zeros((len(labels), len(labels)), np.int64)
    )
    for one, two in pairs:
        of_recording[two.recording][place[two.label], place[one.label]] += 1
    tables = np.stack(list(of_recording.values()))
    confusion = tables.sum(0)
    drawn = _resampled(tables) if len(tables) > 1 else None
    kappa = _kappa(confusion[None])[0]
    return Agreement(
        labels,
        _estimate(_share(confusion[None])[0], None if drawn is None else _share(drawn)),
        None if np.isnan(kappa) else _estimate(kappa, None if drawn is None else _kappa(drawn)),
        _estimate(_balanced(confusion[None])[0], None if drawn is None else _balanced(drawn)),
        [_class(confusion, number, label) for number, label in enumerate(labels)],
        confusion,
    )


def _resampled(tables: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """(R, L, L): confusion matrices of recordings drawn with replacement."""
    rng = np.random.default_rng(0)
    count = len(tables)
    weights = rng.multinomial(count, np.full(count, 1 / count), size=_RESAMPLES)
    return np.tensordot(weights, tables, 1)


def _estimate(value: float, drawn: npt.NDArray[np.float64] | None) -> Estimate:
    if drawn is None:
        return Estimate(float(value), None, None)
    low, high = np.nanpercentile(drawn, _INTERVAL)
    return Estimate(float(value), float(low), float(high))


def _share(tables: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    return np.asarray(np.trace(tables, axis1=1, axis2=2) / tables.sum((1, 2)), np.float64)


def _kappa(tables: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """NaN where both sets have one and the same label alone."""
    total = tables.sum((1, 2))
    by_chance = (tables.sum(1) * tables.sum(2)).sum(1) / total**2
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(
            np.where(by_chance < 1, (_share(tables) - by_chance) / (1 - by_chance), np.nan), np.float64
        )


def _balanced(tables: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    truths = tables.sum(2)
    with np.errstate(invalid="ignore"):
        recalls = np.diagonal(tables, axis1=1, axis2=2) / truths
    return np.asarray(np.nanmean(recalls, axis=1), np.float64)


def _class(confusion: npt.NDArray[np.int64], number: int, label: str) -> ClassAgreement:
    hits, second, first = confusion[number, number], confusion[number].sum(), confusion[:, number].sum()
    return ClassAgreement(
        label,
        int(first),
        int(second),
        _ratio(hits, first),
        _ratio(hits, second),
        _ratio(2 * hits, first + second),
    )


def _ratio(part: int, whole: int) -> float | None:
    return float(part / whole) if whole else None
