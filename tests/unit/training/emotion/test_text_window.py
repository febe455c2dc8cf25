"""Sound and text are cut alike."""

from __future__ import annotations

from dataclasses import replace as other

import pytest
import torch

from emostream.models import Alignment, Word
from emostream.training.emotion.text_window import Window, text_inside
from tests.support.training_task import GOLD, corpus, even_alignment

TEXT = "one two three four"
UNEVEN = Alignment(
    tuple(
        Word(text, start, end)
        for text, start, end in zip(TEXT.split(), (0, 10, 20, 30), (10, 20, 30, 100), strict=True)
    )
)


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (0, 100, TEXT),
        (0, 30, "one two three"),
        (0, 26, "one two three"),  # more than half of it
        (0, 24, "one two"),
        (12, 30, "two three"),
        (30, 64, None),  # the middle of the last one is at 65
        (30, 66, "four"),
    ],
)
def test_words_whose_middle_is_inside_stay(start: int, end: int, expected: str | None) -> None:
    assert text_inside(TEXT, UNEVEN, Window(start, end, 100)) == expected


def test_without_times_words_count_as_equally_long() -> None:
    assert text_inside(TEXT, Alignment(), Window(0, 50, 100)) == "one two"
    assert text_inside(TEXT, Alignment(), Window(40, 100, 100)) == "three four"
    assert text_inside("One, two; three four!", UNEVEN, Window(0, 30, 100)) == "One, two; three"


def test_states_of_tokens_are_cut_by_their_share() -> None:
    states = torch.arange(6.0)[None, :, None].expand(2, 6, 3)  # the first, four tokens, the last
    cut = text_inside(states, UNEVEN, Window(0, 50, 100))
    assert isinstance(cut, torch.Tensor)
    assert cut[0, :, 0].tolist() == [0, 1, 2, 5]
    assert text_inside(states, UNEVEN, Window(0, 1, 100)) is None


def test_no_text_stays_none() -> None:
    assert text_inside(None, UNEVEN, Window(0, 1, 100)) is None
    assert even_alignment("a b", 10).words[1].start == 5
    assert other(corpus(1)[0], words="").words == ""
    assert GOLD.max_seconds < GOLD.max_evaluation_seconds
