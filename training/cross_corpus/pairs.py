"""Pairs clips with texts: no corpus here has emotional audio and emotional text together.

Most pairs share a label; some texts are neutral beside emotional audio, some contradict it, in some pairs the
text or the audio is missing. Metrics on label-matched pairs are inflated and always marked as such.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from ..augmentation.asr_noise import simulate_asr_errors
from ..augmentation.confusions import Confusions
from ..augmentation.settings import TextErrorRates
from ..corpora.example import Example
from .settings import FusionSettings

_ERRORS: Final = TextErrorRates()


@dataclass(frozen=True, slots=True)
class AudioTextPair:
    """One pair; example or text is None where that modality is absent. *_label: index, None where absent.

    target: probabilities for the fused heads, one per label.
    """

    example: Example | None
    text: str | None
    audio_label: int | None
    text_label: int | None
    target: tuple[float, ...]


class PairSampler:
    """Draws a text for each clip. lines: of the four labels and of one split only."""

    def __init__(
        self, lines: Sequence[Example], labels: Sequence[str], words: Sequence[str], settings: FusionSettings
    ) -> None:
        self._labels = list(labels)
        self._confusions = Confusions(words)
        self._settings = settings
        self._texts = [[line.words for line in lines if line.emotion == label] for label in labels]
        self._neutral = self._labels.index("neutral")

    def draw(self, example: Example, rng: np.random.Generator) -> AudioTextPair:
        """One pair for the clip; every kind of pair has its own probability."""
        label, uniform, settings = self._labels.index(example.emotion), rng.random(), self._settings
        for probability, make_pair in (
            (settings.drop_text, self._without_text),
            (settings.drop_audio, self._without_audio),
            (settings.neutral_text, self._with_neutral_text),
            (settings.mismatched_text, self._with_mismatched_text),
        ):
            if uniform < probability:
                return make_pair(example, label, rng)
            uniform -= probability
        return AudioTextPair(example, self._text(label, rng), label, label, self._one_hot(label))

    def matched(self, example: Example, rng: np.random.Generator) -> AudioTextPair:
        """A pair of one label with the text as written: for inflated metrics and for validation."""
        label = self._labels.index(example.emotion)
        return AudioTextPair(example, self._pick(label, rng), label, label, self._one_hot(label))

    def neutral(self, example: Example, rng: np.random.Generator) -> AudioTextPair:
        return self._with_neutral_text(example, self._labels.index(example.emotion), rng)

    def _without_text(self, example: Example, label: int, rng: np.random.Generator) -> AudioTextPair:
        return AudioTextPair(example, None, label, None, self._one_hot(label))

    def _without_audio(self, example: Example, label: int, rng: np.random.Generator) -> AudioTextPair:
        return AudioTextPair(None, self._text(label, rng), None, label, self._one_hot(label))

    def _with_neutral_text(self, example: Example, label: int, rng: np.random.Generator) -> AudioTextPair:
        return AudioTextPair(
            example, self._text(self._neutral, rng), label, self._neutral, self._one_hot(label)
        )

    def _with_mismatched_text(self, example: Example, label: int, rng: np.random.Generator) -> AudioTextPair:
        """Audio and text of two labels: each gets half of the target."""
        other = int(rng.choice([index for index in range(len(self._labels)) if index != label]))
        half = tuple(0.5 * (index in (label, other)) for index in range(len(self._labels)))
        return AudioTextPair(example, self._text(other, rng), label, other, half)

    def _text(self, label: int, rng: np.random.Generator) -> str:
        text = self._pick(label, rng)
        return simulate_asr_errors(text, self._confusions, _ERRORS, rng) if rng.random() < 0.5 else text

    def _pick(self, label: int, rng: np.random.Generator) -> str:
        texts = self._texts[label]
        return texts[int(rng.integers(len(texts)))]

    def _one_hot(self, label: int) -> tuple[float, ...]:
        return tuple(float(index == label) for index in range(len(self._labels)))
