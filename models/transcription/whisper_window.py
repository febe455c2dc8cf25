"""How long Whisper listens to a clip, and how much it may write about it.

Left alone, Whisper hears 30 s for every clip and may write 224 tokens. Both follow from the clip here, and
from nothing else, so that its transcript is the same in any company.
"""

from __future__ import annotations

from typing import Final

from .hallucination import HallucinationThresholds

MAX_CLIP_S: Final = 30
"""What Whisper hears at once; what lies behind it would be lost without a word."""

_WINDOWS_S: Final = (10, 15, 20, MAX_CLIP_S)
"""Few, so that clips of about one length share a forward pass."""

_QUIET_S: Final = 3
"""Of the window behind the clip, at least, as far as 30 s reach. Whisper's decoder ends its text where it
sees the end of speech; in a window filled to the brim it runs on."""

_TOKENS: Final = (16, 20, 24, 28, 32, 36, 40, 44, 48, 56, 64, 96, 144, 224)
"""The limits that there are; few, for the same reason, but four tokens are 20 ms. The last is half of the
decoder's 448 positions, the reference's own limit for any window."""

_ENGLISH_TOKENS_A_WORD: Final = 1.5
_ANY_TOKENS_A_WORD: Final = 4.0
"""The byte-level vocabulary was made of English: dialogues have 1.3 tokens a word, and said at seven words a
second, two lines of a thousand need more than 1.5 for each of the guards' eight. A Polish word takes two or
three, a Burmese syllable as many."""


def window_for(clip_s: float) -> int:
    """Seconds of the window that a clip of `clip_s` is heard in, never shorter than the clip."""
    return next((window for window in _WINDOWS_S if clip_s + _QUIET_S <= window), MAX_CLIP_S)


def token_limit(clip_s: float, english: bool, thresholds: HallucinationThresholds) -> int:
    """Tokens that the fastest speaker whom the guards believe could need, rounded up to one of the limits.

    english: whether the words are known to be English before they are heard. A text that is longer is a
    runaway, whatever it says; at the last limit, 224, none is longer.
    """
    words = thresholds.spare_words + thresholds.words_per_second * clip_s
    tokens = words * (_ENGLISH_TOKENS_A_WORD if english else _ANY_TOKENS_A_WORD)
    return next((limit for limit in _TOKENS if tokens <= limit), _TOKENS[-1])
