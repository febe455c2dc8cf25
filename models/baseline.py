"""A speaker's baseline: the running mean of the states of his utterances so far, against which an utterance
is judged.

A voice differs from another more than an emotion from another, so what is constant in a voice is subtracted
before anything is classified. Nothing here needs labels: with n utterances of mean state m_i, each of weight
w_i, the baseline is

    b = sum_i w_i m_i / (sum_i w_i + n0)

in units in which the mean of the training data is zero; n0 utterances of that mean stand for what is known
before the first. So a stream begins with the common baseline and moves to the speaker's own. The state is a
small vector, and the same utterances in the same order give the same bits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

Voice = npt.NDArray[np.float32]
"""(D,) of one utterance, or of a speaker: the mean of the states, zero where it is that of the training data.
"""


@dataclass(frozen=True, slots=True)
class BaselineSettings:
    """How a running baseline is formed; chosen on corpora that the model was not trained on.

    prior_count: n0, utterances that the common mean counts for.
    neutral_weight: 0 to 1, how far an utterance counts by how probably it is neutral: its weight is
        1 - neutral_weight + neutral_weight p(neutral).
    max_shift: the largest root mean square of a baseline, in standard deviations of the training data; a
        longer one is shortened to it. It bounds what a stream of one emotion can do.
    """

    prior_count: float = 5.0
    neutral_weight: float = 0.0
    max_shift: float = math.inf

    def __post_init__(self) -> None:
        if not (math.isfinite(self.prior_count) and self.prior_count > 0):
            raise ValueError(f"expected a prior_count above 0, got {self.prior_count!r}")
        if not 0 <= self.neutral_weight <= 1:
            raise ValueError(f"expected a neutral_weight from 0 to 1, got {self.neutral_weight!r}")
        if not self.max_shift > 0:
            raise ValueError(f"expected a max_shift above 0, got {self.max_shift!r}")

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> Self:
        """Raises ValueError for an unknown or missing field or a value out of range."""
        names = ("prior_count", "neutral_weight", "max_shift")
        if not isinstance(fields, dict) or set(fields) != set(names):
            raise ValueError(f"expected a baseline of {', '.join(names)}, got {fields!r}")
        values = {name: fields[name] for name in names}
        if values["max_shift"] is None:  # JSON has no infinity
            values["max_shift"] = math.inf
        if not all(isinstance(value, (int, float)) for value in values.values()):
            raise ValueError(f"expected numbers for {', '.join(names)}, got {fields!r}")
        return cls(**values)

    def fields(self) -> dict[str, float | None]:
        """For a configuration file."""
        return {
            "prior_count": self.prior_count,
            "neutral_weight": self.neutral_weight,
            "max_shift": self.max_shift if math.isfinite(self.max_shift) else None,
        }


@dataclass(frozen=True, slots=True, eq=False)
class SpeakerBaseline:
    """The state of one speaker's baseline. Immutable: an update gives a new one.

    total: (D,) float64, the weighted sum of the utterances' means; None before the first. weight: the sum of
    the weights. utterances: how many there were.
    """

    total: npt.NDArray[np.float64] | None = None
    weight: float = 0.0
    utterances: int = 0

    def updated(self, voice: Voice, p_neutral: float, settings: BaselineSettings) -> SpeakerBaseline:
        """With one more utterance. voice: its mean state. p_neutral: its probability of being neutral."""
        share = settings.neutral_weight
        weight = 1.0 - share + share * p_neutral
        added = weight * voice.astype(np.float64)
        total = added if self.total is None else self.total + added
        return SpeakerBaseline(total, self.weight + weight, self.utterances + 1)

    def known_share(self, settings: BaselineSettings) -> float:
        """How much of the baseline is the speaker's own, 0 to 1: n / (n + n0)."""
        return self.weight / (self.weight + settings.prior_count)

    def voice(self, settings: BaselineSettings) -> Voice | None:
        """(D,) what `Recognizer.fuse` takes; None before the first utterance: the common baseline."""
        if self.total is None:
            return None
        mean = self.total / (self.weight + settings.prior_count)
        shift = float(np.sqrt(np.mean(mean**2)))
        if shift > settings.max_shift:
            mean = mean * (settings.max_shift / shift)
        return mean.astype(np.float32)
