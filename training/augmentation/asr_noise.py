"""Simulated transcription errors: words misheard for others that sound alike, left out, or added."""

from __future__ import annotations

import numpy as np

from emostream.models.text_normalization import normalize_text

from .confusions import Confusions
from .settings import TextErrorRates


def simulate_asr_errors(
    text: str, confusions: Confusions, rates: TextErrorRates, rng: np.random.Generator
) -> str:
    """The spoken form with errors of each kind at its rate per word, on average over texts.

    A text's own rates are the given ones times a factor from 0 to 2: some are understood and some are not.
    A word that nothing sounds like is kept. At least one word of a text that has one is kept.
    """
    words = normalize_text(text).split()
    factor = rng.uniform(0.0, 2.0)
    substituted, deleted, inserted = (
        min(1.0, factor * rate) for rate in (rates.substitutions, rates.deletions, rates.insertions)
    )
    output: list[str] = []
    for word in words:
        draw = rng.random()
        if draw < deleted:
            continue
        output.append(confusions.misheard(word, rng) if draw < deleted + substituted else word)
        if rng.random() < inserted:
            output.append(confusions.added(rng))
    return " ".join(output or words[:1])
