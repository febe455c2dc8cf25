"""Simulated transcription errors: words dropped, replaced or doubled."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from emostream.models.text_normalization import normalize_text


def simulate_asr_errors(text: str, replacements: Sequence[str], rng: np.random.Generator) -> str:
    """The spoken form with up to a quarter of its words dropped, replaced or doubled.

    replacements: words to replace with; without any, a word that would be replaced is dropped. At least one
    word of a text that has one is kept.
    """
    words = normalize_text(text).split()
    rate = rng.uniform(0.0, 0.25)
    output: list[str] = []
    for word in words:
        draw = rng.random()
        if draw < 0.45 * rate:
            continue
        if draw < 0.9 * rate:
            if replacements:
                output.append(replacements[int(rng.integers(len(replacements)))])
        else:
            output.extend([word, word] if draw < rate else [word])
    return " ".join(output or words[:1])
