"""A decoder's word times converted to samples inside the clip."""

from __future__ import annotations

import math
from collections.abc import Iterable

from ..types import SAMPLE_RATE_HZ, Word

TimedWord = tuple[str, float, float, float | None]
"""(text, start in seconds, end in seconds, probability or None), counted from the start of the clip."""


def words_in_clip(timed: Iterable[TimedWord], clip_samples: int) -> tuple[Word, ...]:
    """The words in order, all inside [0, clip_samples), none starting before the previous one's end.

    Whisper aligns on a window that is longer than the clip and may step back by a frame, so times are
    clamped. A word without a duration of its own becomes empty (start == end).
    """
    words: list[Word] = []
    earliest = 0
    for text, start_s, end_s, p in timed:
        stripped = text.strip()
        if not stripped:
            continue
        start = min(max(_to_sample(start_s), earliest), clip_samples)
        end = min(max(_to_sample(end_s), start), clip_samples)
        words.append(Word(stripped, start, end, _probability(p)))
        earliest = end
    return tuple(words)


def _to_sample(seconds: float) -> int:
    position = seconds * SAMPLE_RATE_HZ
    return round(position) if math.isfinite(position) else 0


def _probability(p: float | None) -> float | None:
    if p is None or not math.isfinite(p):
        return None
    return min(max(float(p), 0.0), 1.0)
