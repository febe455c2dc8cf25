"""What is chosen after a head has been trained, and the rule by which it is chosen.

Both rules compare candidates on corpora that the models were not trained on; `nested` sees to it that the
corpus a figure is for is not among them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from emostream.models.baseline import BaselineSettings

ORDINARY_NEUTRAL: Final = 0.93
"""The share of ordinary speech that has to be called neutral."""
MAX_LOSS: Final = 0.01
"""What a baseline may cost in any kind of stream, in UA or accuracy, against none."""


@dataclass(frozen=True, slots=True)
class Choice:
    """neutral_offset: taken from the calibrated log odds of neutral (`folds.correct_prior`). baseline: how a
    speaker's baseline is formed in a stream.
    """

    neutral_offset: float
    baseline: BaselineSettings

    def __str__(self) -> str:
        baseline = self.baseline
        return (
            f"neutral offset {self.neutral_offset:g}, n0 {baseline.prior_count:g}, weight by p(neutral) "
            f"{baseline.neutral_weight:g}, largest shift {baseline.max_shift:g}"
        )


@dataclass(frozen=True, slots=True)
class OffsetScore:
    """Of one offset, mean over the inner folds. ua: cold. ordinary: ordinary speech called neutral."""

    ua: float
    ordinary: float


@dataclass(frozen=True, slots=True)
class StreamGain:
    """Of one kind of stream, mean over the inner folds: UA and accuracy with a baseline less without."""

    ua: float
    accuracy: float


def choose_offset(scores: Mapping[float, OffsetScore]) -> float:
    """The offset of the highest UA among those with enough ordinary speech called neutral; where none has,
    the one with most. Raises ValueError without candidates.
    """
    if not scores:
        raise ValueError("expected candidates for the offset of neutral, got none")
    calm = [offset for offset, score in scores.items() if score.ordinary >= ORDINARY_NEUTRAL]
    if not calm:
        return max(scores, key=lambda offset: (scores[offset].ordinary, scores[offset].ua))
    return max(calm, key=lambda offset: scores[offset].ua)


def choose_baseline(gains: Mapping[BaselineSettings, Mapping[str, StreamGain]]) -> BaselineSettings:
    """The settings of the highest mean UA over the kinds of stream, among those that cost no more than
    MAX_LOSS in any; where none is, those of the highest mean of UA and accuracy. gains: by settings and kind
    of stream. Raises ValueError without candidates.
    """
    if not gains:
        raise ValueError("expected candidates for the baseline, got none")
    harmless = [settings for settings, kinds in gains.items() if largest_loss(kinds) <= MAX_LOSS]
    if harmless:
        return max(harmless, key=lambda settings: _mean([gain.ua for gain in gains[settings].values()]))
    return max(
        gains,
        key=lambda settings: _mean([gain.ua + gain.accuracy for gain in gains[settings].values()]),
    )


def largest_loss(kinds: Mapping[str, StreamGain]) -> float:
    """In UA or accuracy, over the kinds of stream; negative where every kind gains."""
    return max(max(-gain.ua, -gain.accuracy) for gain in kinds.values())


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))
