"""Filters against hallucination: what is kept, what is cut, what is rejected and why."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emostream.models.transcription.hallucination import (
    DecodedText,
    FilterResult,
    HallucinationThresholds,
    compression_ratio,
    filter_hypothesis,
)
from emostream.models.types import Word

SENTENCE = "I can't believe you did that to me."
BABBLE = " ".join(Random(0).choices(["lala", "hoho", "hihi"], k=80))
"""Repetitive without being a loop."""


def decoded(
    text: str, *, duration_s: float = 5.0, timed: bool = True, **figures: float | None
) -> DecodedText:
    """A decoder's output with a word every tenth of a second."""
    words = tuple(Word(w, 1600 * i, 1600 * i + 800, 0.9) for i, w in enumerate(text.split())) if timed else ()
    return DecodedText(text, words, duration_s, **figures)


def texts(words: tuple[Word, ...]) -> list[str]:
    return [word.text for word in words]


@pytest.mark.parametrize(
    "text",
    [
        SENTENCE,
        "No, no, no, no, no!",
        "no " * 11,
        "Ha ha ha ha ha ha ha ha.",
        "Oh my God, oh my God, oh my God!",
        "Nooooooooooo!",
        "Very, very, very, very angry, and very, very, very sad.",
        "我不敢相信你这样对我",
    ],
)
def test_plausible_text_is_not_changed(text: str) -> None:
    given_text = decoded(text)
    assert filter_hypothesis(given_text) == FilterResult(text.strip(), given_text.words)


@pytest.mark.parametrize(
    ("text", "head"),
    [
        ("She was a" + " day" * 50, "She was a day"),
        ("It makes me so" + " angry," * 9, "It makes me so angry,"),
        ("Oh " + "no, " * 12, "Oh no,"),
        ("Well, I said" + " thank you so much." * 5 + " thank you", "Well, I said thank you so much."),
        ("One two" + " la" * 30 + " and then some more", "One two la"),
        ("Stop day day. " + "Stop it now! " * 6, "Stop day day. Stop it now!"),
    ],
)
@pytest.mark.parametrize("timed", [True, False])
def test_a_runaway_tail_is_cut_after_its_first_phrase(text: str, head: str, timed: bool) -> None:
    result = filter_hypothesis(decoded(text, duration_s=28.0, timed=timed))
    assert result.text == head
    assert result.rejected is None
    assert texts(result.words) == (head.split() if timed else [])


def test_a_loop_without_spaces_is_cut_between_words() -> None:
    words = tuple(Word(w, 100 * i, 100 * i + 50) for i, w in enumerate(["我", "说", *["好的"] * 20]))
    result = filter_hypothesis(DecodedText("我说" + "好的" * 20, words, 10.0))
    assert result.text == "我说好的"
    assert texts(result.words) == ["我", "说", "好的"]


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        (decoded("no " * 12), "repetition"),
        (decoded("Thank you. " * 4), "repetition"),
        (decoded("Sead" + "er" * 100), "repetition"),
        (decoded("... " + "no " * 12), "repetition"),
        (decoded("谢谢" * 20, timed=False), "repetition"),
        (decoded(". . ."), "no words"),
        (decoded("Thank you.", no_speech_prob=0.95, avg_logprob=-0.2), "no speech"),
        (decoded("Thank you.", no_speech_prob=0.7, avg_logprob=-1.1), "no speech"),
        (decoded(SENTENCE, no_speech_prob=0.1, avg_logprob=-1.1), "low log-probability"),
        (decoded("What?", no_speech_prob=0.37, avg_logprob=-0.95), "low log-probability"),
        (decoded("You know", no_speech_prob=0.05, avg_logprob=-1.28), "low log-probability"),
        (decoded("Thank you.", no_speech_prob=0.6, avg_logprob=-0.5), "no speech"),
        (decoded("Thanks for watching!", no_speech_prob=0.1, avg_logprob=-1.1), "no speech"),
        (decoded("you", no_speech_prob=0.8, avg_logprob=-0.3), "no speech"),
        (decoded("Go! " * 6, no_speech_prob=0.6, avg_logprob=-0.35), "repetition"),
        (decoded("No, stop! " * 3, no_speech_prob=0.31, avg_logprob=-0.64), "repetition"),
        (decoded("Thank you.", no_speech_prob=0.1, avg_logprob=float("nan")), "low log-probability"),
        (decoded("Thank you.", no_speech_prob=float("nan"), avg_logprob=-0.1), "no speech"),
        (decoded(SENTENCE, duration_s=0.5), "impossible speaking rate"),
        (decoded(BABBLE, duration_s=28.0), "compression ratio"),
    ],
)
def test_hallucinated_text_is_rejected_with_a_reason(case: DecodedText, reason: str) -> None:
    assert filter_hypothesis(case) == FilterResult("", (), reason)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("no_speech_prob", "avg_logprob"), [(0.7, -0.9), (0.6, -1.0), (0.9, -0.1), (0.0, -1.0), (None, None)]
)
def test_figures_at_the_threshold_are_accepted(
    no_speech_prob: float | None, avg_logprob: float | None
) -> None:
    given_text = decoded(SENTENCE, no_speech_prob=no_speech_prob, avg_logprob=avg_logprob)
    assert filter_hypothesis(given_text).text == SENTENCE


@pytest.mark.parametrize(
    "text", ["Go!", "Help!", "Thank you.", "You.", "Go! Go! Go! Go! Go! Go!", "No, no, no!"]
)
def test_short_speech_that_is_probable_is_kept(text: str) -> None:
    given_text = decoded(text, no_speech_prob=0.2, avg_logprob=-0.65)
    assert filter_hypothesis(given_text) == FilterResult(text, given_text.words)


def test_a_single_word_need_not_be_as_probable_as_a_sentence() -> None:
    assert filter_hypothesis(decoded("Help!", no_speech_prob=0.19, avg_logprob=-1.05)).text == "Help!"
    assert filter_hypothesis(decoded(SENTENCE, no_speech_prob=0.19, avg_logprob=-1.05)).text == ""


@pytest.mark.parametrize(("no_speech_prob", "text"), [(0.05, "Lobsters and lobsters"), (0.2, "")])
def test_the_first_phrase_of_a_loop_is_kept_where_somebody_speaks(no_speech_prob: float, text: str) -> None:
    loop = decoded("Lobsters and lobsters " * 6, no_speech_prob=no_speech_prob, avg_logprob=-0.13)
    result = filter_hypothesis(loop)
    assert result.text == text
    assert texts(result.words) == text.split()
    assert bool(result.rejected) != bool(text)


def test_empty_text_is_not_rejected() -> None:
    assert filter_hypothesis(decoded("  ")) == FilterResult("")


def test_words_that_do_not_match_the_text_are_removed() -> None:
    mismatched = DecodedText("She was a" + " day" * 50, (Word("something", 0, 10),), 28.0)
    assert filter_hypothesis(mismatched) == FilterResult("She was a day")


def test_compression_ratio_of_a_known_text() -> None:
    assert compression_ratio("") == 0.0
    assert compression_ratio(SENTENCE) < 1.1
    assert compression_ratio("la " * 200) > 2.4


def test_thresholds_are_settings() -> None:
    strict = replace(HallucinationThresholds(), words_per_second=1.0, spare_words=0)
    assert filter_hypothesis(decoded(SENTENCE), strict).rejected == "impossible speaking rate"


# A tiny vocabulary, so that loops of every kind come up by themselves.
babble = st.lists(st.sampled_from(["no", "No,", "oh", "a", "day", "你好", "…", "it's"]), max_size=60).map(
    " ".join
)
repeated = st.builds(
    lambda head, phrase, n: f"{head} {phrase * n}", babble, st.text(max_size=12), st.integers(0, 30)
)
anything = st.one_of(st.text(max_size=200), babble, repeated)
probabilities = st.none() | st.floats(allow_nan=True)


def test_a_loop_behind_a_character_that_is_no_word_leaves_nothing() -> None:
    result = filter_hypothesis(decoded("\x1b " + 24 * "0", duration_s=10.0, no_speech_prob=0.0))
    assert (result.text, result.rejected) == ("", "repetition")


@given(text=anything, timed=st.booleans(), no_speech=probabilities, logprob=probabilities)
def test_filtering_only_shortens_and_is_idempotent(
    text: str, timed: bool, no_speech: float | None, logprob: float | None
) -> None:
    first = decoded(text, duration_s=10.0, timed=timed, no_speech_prob=no_speech, avg_logprob=logprob)
    result = filter_hypothesis(first)
    assert text.strip().startswith(result.text)
    assert first.words[: len(result.words)] == result.words
    assert not (result.text and result.rejected)
    again = filter_hypothesis(replace(first, text=result.text, words=result.words))
    assert (again.text, again.words) == (result.text, result.words)
