"""What of the words so far is stable: what two consecutive hypotheses agree on."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from emostream.streamer.pipeline.interim_text import InterimText, TextSoFar


def shown(*hypotheses: str) -> list[tuple[str, str]]:
    """The stable and the other part of the text after each hypothesis."""
    text = InterimText()
    results = [text.add(hypothesis) for hypothesis in hypotheses]
    return [(one.text[: one.stable_chars], one.text[one.stable_chars :]) for one in results]


def test_words_are_stable_when_two_hypotheses_in_a_row_agree_on_them() -> None:
    assert shown("And so", "And so, my", "And so, my fellow", "And so, my fellow Americans") == [
        ("", "And so"),
        ("And", " so, my"),
        ("And so, my", " fellow"),
        ("And so, my fellow", " Americans"),
    ]


def test_a_word_that_only_begins_like_another_is_not_stable() -> None:
    assert shown("the do", "the door", "the doors") == [("", "the do"), ("the", " door"), ("the", " doors")]


def test_agreement_with_an_older_hypothesis_does_not_count() -> None:
    assert shown("ask not", "ask what", "ask not")[-1] == ("ask", " not")


@pytest.mark.parametrize(
    ("later", "text"),
    [
        ("the train, leaves now", "the train leaves now"),  # another form of the same words
        ("a train leaves now", "the train leaves now"),  # another word
        ("train leaves now", "the train leaves now"),  # one fewer
        ("oh the train leaves now", "the train leaves now"),  # one more
        ("the", "the train"),  # nothing of what is stable is taken back
    ],
)
def test_stable_words_stay_whatever_later_hypotheses_say(later: str, text: str) -> None:
    assert shown("the train", "the train", later)[-1][0] == "the train"
    assert "".join(shown("the train", "the train", later)[-1]) == text


def test_an_empty_hypothesis_changes_nothing() -> None:
    """The hallucination filter has rejected the text."""
    assert shown("keep it", "keep this", "", "keep this up")[2:] == [("keep", " this"), ("keep this", " up")]
    assert InterimText().add("  ") == TextSoFar("", 0)


@pytest.mark.parametrize(
    ("hypotheses", "stable"),
    [
        (("我们在", "我们这里"), "我们"),
        (("これは", "これを見て"), "これ"),
        (("ไปที่", "ไปไหน"), "ไป"),
        (("한국어 말", "한국어 말하기"), "한국어"),  # written with spaces
    ],
)
def test_where_no_spaces_are_written_characters_count(hypotheses: tuple[str, str], stable: str) -> None:
    assert shown(*hypotheses)[-1][0] == stable


def test_the_stable_part_only_ever_grows() -> None:
    rng = random.Random(0)
    words = ["so", "so,", "my", "fellow", "Fellow", "door.", "door", "不", "是"]
    for _ in range(300):
        text = InterimText()
        results = [text.add(" ".join(rng.choices(words, k=rng.randrange(7)))) for _ in range(8)]
        for before, after in pairwise(results):
            assert after.stable_chars >= before.stable_chars
            assert after.text.startswith(before.text[: before.stable_chars])
            assert 0 <= after.stable_chars <= len(after.text)
