"""The window and the token limit with which Whisper decodes a clip.

By default, Whisper pads every clip to 30 s and may output 224 tokens. Here both depend on the clip, and on
nothing else, so that its transcript does not depend on its batch.
"""

from __future__ import annotations

from typing import Final

from .hallucination import HallucinationThresholds

MAX_CLIP_S: Final = 30
"""The longest clip that Whisper decodes at once; audio after it would be dropped silently."""

_WINDOWS_S: Final = (10, 15, 20, MAX_CLIP_S)
"""Few, so that clips of about one length share a forward pass."""

_QUIET_S: Final = 3
"""Minimum padding after the clip, within the 30 s. Whisper's decoder ends its text where it sees the end of
speech; in a window that is filled completely it runs on."""

_TOKENS: Final = (16, 20, 24, 28, 32, 36, 40, 44, 48, 56, 64, 96, 144, 224)
"""The possible limits; few, for the same reason, although four tokens take 20 ms. The last is half of the
decoder's 448 positions, the reference implementation's limit for any window."""

_ENGLISH_TOKENS_A_WORD: Final = 1.5
_ANY_TOKENS_A_WORD: Final = 4.0
"""The byte-level vocabulary was built from English: dialogues have 1.3 tokens a word, and at a speaking rate
of seven words a second, two lines of a thousand need more than 1.5 tokens for each of the filter's eight
words. A Polish word takes two or three, and so does a Burmese syllable."""


def window_for(clip_s: float) -> int:
    """Seconds of the window for a clip of `clip_s`, never shorter than the clip."""
    return next((window for window in _WINDOWS_S if clip_s + _QUIET_S <= window), MAX_CLIP_S)


def token_limit(clip_s: float, english: bool, thresholds: HallucinationThresholds) -> int:
    """Tokens that the fastest speaker whom the filter accepts could need, rounded up to one of the limits.

    english: whether the language is known to be English before decoding. A longer text is a runaway, whatever
    its content; at the last limit, 224, none is longer.
    """
    words = thresholds.spare_words + thresholds.words_per_second * clip_s
    tokens = words * (_ENGLISH_TOKENS_A_WORD if english else _ANY_TOKENS_A_WORD)
    return next((limit for limit in _TOKENS if tokens <= limit), _TOKENS[-1])
