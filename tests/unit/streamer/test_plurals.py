"""Counted things in messages."""

from __future__ import annotations

import pytest

from emostream.streamer.plurals import counted


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 utterances"), (1, "1 utterance"), (2, "2 utterances"), (11, "11 utterances")]
)
def test_one_is_no_plural(number: int, text: str) -> None:
    assert counted(number, "utterance") == text
