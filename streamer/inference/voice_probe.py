"""What tells one model's mean states from another's: its state for a fixed sound.

A baseline is of use to the model alone that made it. A hash of the files would also differ between precisions
and between graphs of the same weights, whose states agree; so the states themselves are compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from emostream.models import SAMPLE_RATE_HZ, Clip, Recognizer

_SECONDS: Final = 1.0
_TOLERANCE: Final = 0.05
"""Relative distance of two states up to which they are of one model: bfloat16 keeps eight bits."""


def probe_clip() -> Clip:
    """A second of a voice-like tone: harmonics of 120 Hz, in four syllables."""
    seconds = np.arange(int(_SECONDS * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    tone = sum(np.sin(2 * np.pi * 120 * order * seconds) / order for order in range(1, 21))
    syllables = np.sin(np.pi * 4 * seconds) ** 2
    return Clip((0.1 * syllables * tone).astype(np.float32))


def voice_probe(recognizer: Recognizer) -> tuple[float, ...] | None:
    """The model's mean state of the probe; None where it takes no baseline."""
    if recognizer.baseline is None:
        return None
    (encoded,) = recognizer.encode([probe_clip()])
    return None if encoded.voice is None else tuple(encoded.voice.tolist())


def same_model(one: Sequence[float], other: Sequence[float]) -> bool:
    """Whether two probes are of one model, perhaps in different precisions."""
    if len(one) != len(other):
        return False
    a, b = np.asarray(one), np.asarray(other)
    return bool(np.linalg.norm(a - b) <= _TOLERANCE * max(np.linalg.norm(a), np.linalg.norm(b)))
