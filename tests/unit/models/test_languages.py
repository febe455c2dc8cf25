"""The language of an utterance: the hint before what was detected, and the language alone."""

from __future__ import annotations

import numpy as np
import pytest

from emostream.models import Clip, Transcript
from emostream.models.config import EmotionConfig
from emostream.models.languages import is_in_languages, primary_subtag, spoken_language

SILENCE = np.zeros(160, np.float32)


@pytest.mark.parametrize("tag", ["en", "EN", "en-GB", "en_us", "en-Latn-US"])
def test_region_script_and_case_do_not_matter(tag: str) -> None:
    assert primary_subtag(tag) == "en"


@pytest.mark.parametrize(
    ("hint", "detected", "spoken"),
    [
        (None, None, None),
        (None, "pl", "pl"),
        ("de-AT", "en", "de"),  # a model for English reports `en`, whatever was said
        ("", "pl", "pl"),
    ],
)
def test_the_hint_comes_first(hint: str | None, detected: str | None, spoken: str | None) -> None:
    assert spoken_language(Clip(SILENCE, hint), Transcript("x", detected)) == spoken


def test_without_audio_there_is_no_hint() -> None:
    assert spoken_language(None, Transcript("x", "pl")) == "pl"


@pytest.mark.parametrize(
    ("detected", "known", "within"),
    [
        ("en", ("en",), True),
        ("pl", ("en",), False),
        ("pl", ("en", "pl"), True),
        ("pl", (), True),
        (None, ("en",), True),
    ],
)
def test_an_unknown_language_counts_as_known(
    detected: str | None, known: tuple[str, ...], within: bool
) -> None:
    assert is_in_languages(None, Transcript("x", detected), known) is within


def test_a_checkpoint_lists_the_languages_of_its_text_branch() -> None:
    assert EmotionConfig().text_languages == ["en"]
    assert EmotionConfig(text_languages=["pl", "de"]).text_languages == ["pl", "de"]
    for wrong in ("en", ["en-GB"], ["EN"], [""], [1], None):
        with pytest.raises(ValueError, match="expected text_languages like"):
            EmotionConfig(text_languages=wrong)
