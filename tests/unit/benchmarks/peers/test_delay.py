"""Delays behind utterances, counted by hand."""

from __future__ import annotations

import pytest

from benchmarks.peers.clients import FinalText
from benchmarks.peers.delay import Delays, delays, together

SPANS = [(1.0, 2.0), (4.0, 6.0), (8.0, 9.0)]


def final(at_s: float, until_s: float) -> FinalText:
    return FinalText(at_s, until_s, "words")


def test_a_final_belongs_to_the_utterance_that_it_reaches_the_end_of() -> None:
    found = delays(SPANS, [final(2.5, 2.0), final(5.0, 4.9), final(6.75, 5.9), final(9.6, 9.2)])
    assert found.seconds == pytest.approx((0.5, 0.75, 0.6))
    assert (found.late, found.none) == (0, 0)


def test_one_that_comes_after_the_next_utterance_is_late() -> None:
    found = delays(SPANS, [final(6.5, 6.0), final(12.0, 9.0)])
    assert found.seconds == pytest.approx((4.5, 0.5, 3.0))  # after the last one nothing follows
    assert (found.late, found.none) == (1, 0)


def test_a_server_that_repeats_its_texts_is_counted_once() -> None:
    found = delays(SPANS, [final(2.5, 2.0), final(5.0, 2.0), final(6.5, 6.0), final(9.5, 6.0)])
    assert found.seconds == pytest.approx((0.5, 0.5))
    assert (found.late, found.none, found.utterances) == (0, 1, 3)


def test_text_that_reaches_far_at_the_start_of_an_utterance_is_not_its_own() -> None:
    assert delays([(4.0, 4.2)], [final(3.9, 4.1)]).none == 1


def test_nothing_arrived() -> None:
    found = delays(SPANS, [])
    assert found == Delays((), none=3)
    assert found.percentile_ms(50) is None


def test_streams_together() -> None:
    total = together([Delays((0.1, 0.3), 1), Delays((0.2,), 1, 2)])
    assert total == Delays((0.1, 0.3, 0.2), 2, 2)
    assert total.percentile_ms(50) == pytest.approx(200.0)
