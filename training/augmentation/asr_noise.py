"""What a transcriber does to words. Pure: the generator is an argument."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from emostream.models.text_normalization import normalize_text


def simulate_asr_errors(text: str, strangers: Sequence[str], rng: np.random.Generator) -> str:
    """The spoken form with up to a quarter of its words dropped, replaced or doubled.

    strangers: words to replace with; without any, a word that would be replaced is dropped. At least one
    word of a text that has one is kept.
    """
    words = normalize_text(text).split()
    rate = rng.uniform(0.0, 0.25)
    heard: list[str] = []
    for word in words:
        luck = rng.random()
        if luck < 0.45 * rate:
            continue
        if luck < 0.9 * rate:
            if strangers:
                heard.append(strangers[int(rng.integers(len(strangers)))])
        else:
            heard.extend([word, word] if luck < rate else [word])
    return " ".join(heard or words[:1])
