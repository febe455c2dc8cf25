"""Which language a clip is taken to be in, by the detector's figures, the clip's length and the stream."""

from __future__ import annotations

import pytest

from emostream.models.transcription.language_detection import (
    MIN_PROBABILITY,
    MIN_SECONDS,
    ChosenLanguage,
    choose_language,
)

CLEAR = [("pl", 0.9), ("en", 0.05)]
UNCLEAR = [("cy", 0.3), ("en", 0.29)]


@pytest.mark.parametrize("expected", [None, "en", "pl"])
def test_a_long_and_clear_clip_speaks_for_itself(expected: str | None) -> None:
    assert choose_language(CLEAR, MIN_SECONDS, expected) == ChosenLanguage("pl", certain=True)


@pytest.mark.parametrize(
    ("ranking", "seconds"), [(CLEAR, 0.9 * MIN_SECONDS), (UNCLEAR, 10.0), (UNCLEAR, 0.5)]
)
def test_a_short_or_unclear_clip_is_taken_to_be_in_the_language_of_the_stream(
    ranking: list[tuple[str, float]], seconds: float
) -> None:
    assert choose_language(ranking, seconds, "en") == ChosenLanguage("en", certain=False)


def test_without_a_stream_the_likeliest_language_is_used_and_nothing_is_expected_of_it() -> None:
    assert choose_language(CLEAR, 0.9 * MIN_SECONDS, None) == ChosenLanguage("pl", certain=False)
    assert MIN_PROBABILITY <= 0.9
