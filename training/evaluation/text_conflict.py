"""The effect of text on the prediction for a clip: pairs of one label, and pairs that contradict each
other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np

from emostream.models import Prediction

from ..corpora.example import Example
from ..trainer.seeding import example_rng

LOW_CONFIDENCE: Final = 0.6
HIGH_CONFIDENCE: Final = 0.9


@dataclass(frozen=True, slots=True)
class TextConflicts:
    """How often the fused label of a clip changes when a text of its true label is replaced by another
    label's.

    low_confidence, high_confidence: share of the clips whose audio-only confidence is under LOW_CONFIDENCE,
    over
        HIGH_CONFIDENCE; None where there are none. *_pairs: number of such clips.
    """

    low_confidence: float | None
    low_confidence_pairs: int
    high_confidence: float | None
    high_confidence_pairs: int

    def as_dict(self) -> dict[str, float | int | None]:
        return asdict(self)


class PairedTexts:
    """Lines of text by label; the line for a clip is drawn by the clip's key."""

    def __init__(self, lines: Sequence[Example], truth: Sequence[str]) -> None:
        """truth: the label of each line."""
        self._by_label: dict[str, list[str]] = {}
        for line, label in zip(lines, truth, strict=True):
            self._by_label.setdefault(label, []).append(line.words)

    @property
    def labels(self) -> list[str]:
        return sorted(self._by_label)

    def draw(self, key: str, label: str) -> str:
        """The same line for the same clip and label, independent of other draws."""
        lines = self._by_label[label]
        return lines[int(example_rng(0, 0, f"{key} {label}").integers(len(lines)))]

    def others(self, label: str) -> list[str]:
        """Every label but this one."""
        return [name for name in self.labels if name != label]


def text_conflicts(matched: Sequence[Prediction], mismatched: Sequence[Prediction]) -> TextConflicts:
    """matched, mismatched: of the same clips one by one, with a text of their label and of another label."""
    confidence = np.array([max(prediction.audio_only or (0.0,)) for prediction in mismatched])
    changed = np.array([a.label != b.label for a, b in zip(matched, mismatched, strict=True)])
    shares = [
        (float(changed[part].mean()) if part.any() else None, int(part.sum()))
        for part in (confidence < LOW_CONFIDENCE, confidence > HIGH_CONFIDENCE)
    ]
    return TextConflicts(*shares[0], *shares[1])
