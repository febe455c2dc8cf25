"""Real speech that is always there: pieces of the bundled recording."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Final

import numpy as np
import soundfile

from emostream.models.types import SAMPLE_RATE_HZ, Samples

_STARTS_MS: Final = (800, 4_520, 8_400, 12_140, 18_070, 22_180, 28_290)
"""Where those of its utterances begin that last more than two seconds."""


@cache
def _recording() -> Samples:
    samples, rate_hz = soundfile.read(str(files("emostream.demo") / "recording.ogg"), dtype="float32")
    assert rate_hz == SAMPLE_RATE_HZ
    return np.asarray(samples, dtype=np.float32)


def demo_speech(ms: int, utterance: int = 0) -> Samples:
    """(N,) float32 at 16 kHz: `ms` of an utterance without a pause.

    Longer ones repeat its first two seconds; numbers past the last utterance wrap round.
    """
    first = _STARTS_MS[utterance % len(_STARTS_MS)] * SAMPLE_RATE_HZ // 1_000
    piece = _recording()[first : first + 2 * SAMPLE_RATE_HZ]
    return np.resize(piece, ms * SAMPLE_RATE_HZ // 1_000)
