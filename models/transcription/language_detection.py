"""The language of a clip: detected where it is long and clear enough, otherwise that of the stream so far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

MIN_SECONDS: Final = 1.5
"""Clips below are too short: a single English word is taken for any language."""

MIN_PROBABILITY: Final = 0.5
"""As in faster-whisper's `language_detection_threshold`."""


@dataclass(frozen=True, slots=True)
class ChosenLanguage:
    """code: a language of the model. certain: whether what follows may be expected in it too."""

    code: str
    certain: bool


def choose_language(
    ranking: Sequence[tuple[str, float]], seconds: float, expected: str | None
) -> ChosenLanguage:
    """ranking: codes and their probabilities, the likeliest first. seconds: of the clip. expected: the
    language of the stream so far, None where none is certain.
    """
    likeliest, probability = ranking[0]
    if seconds >= MIN_SECONDS and probability >= MIN_PROBABILITY:
        return ChosenLanguage(likeliest, certain=True)
    return ChosenLanguage(expected or likeliest, certain=False)
