"""Word times: seconds of a decoder are converted to samples of the clip."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from emostream.models.transcription.word_times import TimedWord, words_in_clip
from emostream.models.types import Word


def test_seconds_are_converted_and_blanks_removed() -> None:
    timed = [(" I", 0.0, 0.25, 0.9), (" am,", 0.25, 0.5, None), (" ", 0.5, 0.6, 0.1)]
    assert words_in_clip(timed, 16_000) == (Word("I", 0, 4_000, 0.9), Word("am,", 4_000, 8_000, None))


def test_a_word_beyond_the_clip_is_cut_at_its_end() -> None:
    timed = [("late", 0.9, 1.4, 0.5), ("later", 1.5, 1.9, 0.5)]
    assert words_in_clip(timed, 16_000) == (
        Word("late", 14_400, 16_000, 0.5),
        Word("later", 16_000, 16_000, 0.5),
    )


def test_a_word_that_starts_too_early_starts_after_the_one_before() -> None:
    timed = [("one", 0.2, 0.5, 0.5), ("two", 0.4, 0.3, 0.5)]
    assert words_in_clip(timed, 16_000) == (Word("one", 3_200, 8_000, 0.5), Word("two", 8_000, 8_000, 0.5))


timed_words = st.lists(st.tuples(st.text(max_size=3), st.floats(), st.floats(), st.none() | st.floats()))


@given(timed=timed_words, clip_samples=st.integers(0, 10**6))
def test_any_times_become_ordered_times_inside_the_clip(timed: list[TimedWord], clip_samples: int) -> None:
    edge = 0
    for word in words_in_clip(timed, clip_samples):
        assert edge <= word.start <= word.end <= clip_samples
        assert word.confidence is None or (0.0 <= word.confidence <= 1.0 and math.isfinite(word.confidence))
        edge = word.end
