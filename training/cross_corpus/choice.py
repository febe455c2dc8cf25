"""What is chosen after a head has been trained, and the rule by which it is chosen.

Both rules compare candidates on corpora that the models were not trained on; `nested` sees to it that the
corpus a figure is for is not among them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from emostream.models.baseline import BaselineSettings

ORDINARY_NEUTRAL: Final = 0.93
"""The share of ordinary speech that has to be called neutral."""
MAX_LOSS: Final = 0.01
"""What a baseline may cost in any kind of stream, in UA, against none."""


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
    """Of one offset, mean over the inner folds. ua: cold. ordinary: ordinary speech called neutral, mean of
    its speakers; error: the standard error of that mean.
    """

    ua: float
    ordinary: float
    error: float = 0.0


@dataclass(frozen=True, slots=True)
class StreamGain:
    """Of one kind of stream, mean over the inner folds: UA and accuracy with a baseline less without."""

    ua: float
    accuracy: float


def choose_offset(scores: Mapping[float, OffsetScore]) -> float:
    """The offset of the highest UA among those with enough ordinary speech called neutral.

    Where none has, among those that are no more than one standard error behind the one with most: with few
    speakers of ordinary speech a difference within it is chance (the one-standard-error rule of Breiman et
    al., Classification and Regression Trees, 1984). Raises ValueError without candidates.
    """
    if not scores:
        raise ValueError("expected candidates for the offset of neutral, got none")
    calmest = max(scores.values(), key=lambda score: (score.ordinary, score.ua))
    reached = calmest.ordinary >= ORDINARY_NEUTRAL
    enough = ORDINARY_NEUTRAL if reached else calmest.ordinary - calmest.error
    calm = [offset for offset, score in scores.items() if score.ordinary >= enough]
    return max(calm, key=lambda offset: scores[offset].ua)


def choose_baseline(gains: Mapping[BaselineSettings, Mapping[str, StreamGain]]) -> BaselineSettings:
    """The settings of the highest mean UA over the kinds of stream, among those that cost no more than
    MAX_LOSS in any; where none is, those of the smallest loss. gains: by settings and kind of stream. Raises
    ValueError without candidates.

    Accuracy does not decide: where a stream is mostly one emotion, part of it is taken for the voice, and
    whatever prevents that takes the gain elsewhere (docs/adr/0021).
    """
    if not gains:
        raise ValueError("expected candidates for the baseline, got none")
    harmless = [settings for settings, kinds in gains.items() if largest_loss(kinds) <= MAX_LOSS]
    if not harmless:
        return min(gains, key=lambda settings: largest_loss(gains[settings]))
    return max(harmless, key=lambda settings: np.mean([gain.ua for gain in gains[settings].values()]))


def largest_loss(kinds: Mapping[str, StreamGain]) -> float:
    """In UA, over the kinds of stream; negative where every kind gains."""
    return max(-gain.ua for gain in kinds.values())
