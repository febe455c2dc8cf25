"""What words do to the judgement of a sound: pairs of one label, and pairs that contradict each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np

from emostream.models import Prediction

from ..corpora.example import Example
from ..trainer.seeding import example_rng

UNSURE: Final = 0.6
SURE: Final = 0.9


@dataclass(frozen=True, slots=True)
class TextConflicts:
    """How often the fused label of a clip changes when a text of its true label is exchanged for another's.

    unsure, sure: share of the clips whose audio-only confidence is under UNSURE, over SURE; None where there
        are none. low_confidence_pairs, high_confidence_pairs: how many there are.
    """

    unsure: float | None
    low_confidence_pairs: int
    sure: float | None
    high_confidence_pairs: int

    def as_dict(self) -> dict[str, float | int | None]:
        return asdict(self)


class PairedTexts:
    """Lines by label, drawn for a clip by its key."""

    def __init__(self, lines: Sequence[Example], truth: Sequence[str]) -> None:
        """truth: the label of each line."""
        self._of: dict[str, list[str]] = {}
        for line, label in zip(lines, truth, strict=True):
            self._of.setdefault(label, []).append(line.words)

    @property
    def labels(self) -> list[str]:
        return sorted(self._of)

    def draw(self, key: str, label: str) -> str:
        """The same line for the same clip and label, whatever else is drawn."""
        lines = self._of[label]
        return lines[int(example_rng(0, 0, f"{key} {label}").integers(len(lines)))]

    def others(self, label: str) -> list[str]:
        """Every label but this one."""
        return [name for name in self.labels if name != label]


def conflicts(matched: Sequence[Prediction], contradicted: Sequence[Prediction]) -> TextConflicts:
    """Of the same clips one by one, with a text of their label and with a text of another."""
    confidence = np.array([max(one.audio_only or (0.0,)) for one in contradicted])
    changed = np.array([a.label != b.label for a, b in zip(matched, contradicted, strict=True)])
    shares = [
        (float(changed[part].mean()) if part.any() else None, int(part.sum()))
        for part in (confidence < UNSURE, confidence > SURE)
    ]
    return TextConflicts(*shares[0], *shares[1])
