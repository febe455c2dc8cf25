"""Clips meet texts: no corpus here has emotional sound and emotional words together, so they are paired.

Most pairs share a label; some words are neutral under emotional sound, some contradict it, some are
missing, some sound is missing. Figures on label-matched pairs are inflated and say so wherever they stand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..augmentation.asr_noise import simulate_asr_errors
from ..corpora.example import Example
from .settings import FusionSettings


@dataclass(frozen=True, slots=True)
class Pair:
    """example or text None: that modality is absent. *_label: index, None where absent.

    target: probabilities the fused heads should learn, one per label.
    """

    example: Example | None
    text: str | None
    audio_label: int | None
    text_label: int | None
    target: tuple[float, ...]


class PairSampler:
    """Draws a text for each clip. lines: only of the four labels, only of one split."""

    def __init__(
        self, lines: Sequence[Example], labels: Sequence[str], words: Sequence[str], settings: FusionSettings
    ) -> None:
        self._labels = list(labels)
        self._words = words
        self._settings = settings
        self._texts = [[line.words for line in lines if line.emotion == label] for label in labels]
        self._neutral = self._labels.index("neutral")

    def draw(self, example: Example, rng: np.random.Generator) -> Pair:
        """One pair for the clip; every kind has its own share."""
        label, luck, shares = self._labels.index(example.emotion), rng.random(), self._settings
        for share, kind in (
            (shares.drop_text, self._without_text),
            (shares.drop_audio, self._without_audio),
            (shares.neutral_text, self._neutral_words),
            (shares.mismatched_text, self._contradicting),
        ):
            if luck < share:
                return kind(example, label, rng)
            luck -= share
        return Pair(example, self._text(label, rng), label, label, self._all_on(label))

    def matched(self, example: Example, rng: np.random.Generator) -> Pair:
        """A pair of one label, words as written: for the inflated figure and for the dev mixture."""
        label = self._labels.index(example.emotion)
        return Pair(example, self._pick(label, rng), label, label, self._all_on(label))

    def neutral(self, example: Example, rng: np.random.Generator) -> Pair:
        return self._neutral_words(example, self._labels.index(example.emotion), rng)

    def _without_text(self, example: Example, label: int, rng: np.random.Generator) -> Pair:
        return Pair(example, None, label, None, self._all_on(label))

    def _without_audio(self, example: Example, label: int, rng: np.random.Generator) -> Pair:
        return Pair(None, self._text(label, rng), None, label, self._all_on(label))

    def _neutral_words(self, example: Example, label: int, rng: np.random.Generator) -> Pair:
        return Pair(example, self._text(self._neutral, rng), label, self._neutral, self._all_on(label))

    def _contradicting(self, example: Example, label: int, rng: np.random.Generator) -> Pair:
        """Sound and words of two labels: neither is right alone, so each gets half."""
        other = int(rng.choice([index for index in range(len(self._labels)) if index != label]))
        half = tuple(0.5 * (index in (label, other)) for index in range(len(self._labels)))
        return Pair(example, self._text(other, rng), label, other, half)

    def _text(self, label: int, rng: np.random.Generator) -> str:
        text = self._pick(label, rng)
        return simulate_asr_errors(text, self._words, rng) if rng.random() < 0.5 else text

    def _pick(self, label: int, rng: np.random.Generator) -> str:
        texts = self._texts[label]
        return texts[int(rng.integers(len(texts)))]

    def _all_on(self, label: int) -> tuple[float, ...]:
        return tuple(float(index == label) for index in range(len(self._labels)))
