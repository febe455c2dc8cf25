"""Preparation of one clip and one text for the network, without its framework; `collate` makes batches.

Everything that depends on a single clip (normalisation, the minimum length) happens here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from tokenizers import Tokenizer

from .text_normalization import normalize_text
from .types import Samples

QUIETEST: Final = 1e-4
"""Root mean square, -80 dBFS: a clip below it is silence, which is not made as loud as speech."""

VARIANCE_FLOOR: Final = 1e-7
"""As in wav2vec 2.0's feature extractor: digital silence stays silence instead of a division by zero."""


@dataclass(frozen=True, slots=True)
class WaveformSpec:
    """The input format of an audio encoder.

    min_samples, max_samples: the shortest and the longest clip that it accepts; None: any length.
    unit_variance: whether clips are normalised to zero mean and unit variance. level: the root mean square
    that clips are brought to otherwise; None: they stay as they are.
    """

    min_samples: int
    unit_variance: bool = True
    max_samples: int | None = None
    level: float | None = None


def prepare(samples: Samples, spec: WaveformSpec) -> Samples:
    """(N,) -> (N',): NaN and infinity become 0, then zero mean, unit variance.

    A microphone's level carries no emotion. A clip shorter than one frame is padded with silence, one longer
    than the encoder accepts is truncated. An encoder that was trained on unnormalised audio gets the samples
    as they are, within [-1, 1], or at the level of the specification.
    """
    samples = samples[: spec.max_samples]
    clean = np.nan_to_num(samples.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    if len(clean):
        # Huge samples would overflow the square; valid audio has none beyond 1.
        peak = float(np.abs(clean).max())
        clean = clean / peak if peak > 1.0 else clean
        if spec.unit_variance:
            clean = (clean - clean.mean()) / np.sqrt(clean.var() + VARIANCE_FLOOR)
        elif spec.level is not None:
            clean = clean * (spec.level / max(QUIETEST, float(np.sqrt((clean**2).mean()))))
    return np.pad(clean, (0, max(0, spec.min_samples - len(clean)))).astype(np.float32)


def token_ids(text: str | None, tokenizer: Tokenizer, max_tokens: int) -> list[int]:
    """Empty where there are no words. Truncated, but with the tokenizer's final special token kept."""
    line = normalize_text(text) if text else ""
    if not line:
        return []
    ids: list[int] = tokenizer.encode(line).ids
    return ids if len(ids) <= max_tokens else [*ids[: max_tokens - 1], ids[-1]]
