"""When the last word was on the screen; cases by hand."""

from __future__ import annotations

import msgspec
import pytest

from emostream.streamer.bench.interim_words import InterimWords, ShownText
from emostream.streamer.protocol import messages
from tests.support.events import emotion_event


def shown(
    at_s: float, text: str, *, end_ms: int | None = None, stable: int = 0, utterance: int = 1
) -> ShownText:
    """end_ms: of a final's last word."""
    words = () if end_ms is None else (messages.Word(text="x", start_ms=0, end_ms=end_ms, confidence=None),)
    event = msgspec.structs.replace(
        emotion_event(utterance, "sad"),
        final=end_ms is not None,
        text=text,
        words=words,
        stable_chars=None if end_ms is not None else stable,
    )
    return ShownText(event, at_s)


def test_the_first_result_with_the_last_word_counts() -> None:
    words = InterimWords.of(
        [
            shown(1.0, "by the"),
            shown(2.2, "by the Door"),
            shown(2.4, "by the door."),
            shown(2.5, "by the door", end_ms=2_000),
        ]
    )
    assert words is not None
    assert words.last_word_ms["p50"] == pytest.approx(200.0)
    assert (words.finals, words.early) == (1, 1.0)


def test_where_no_interim_result_has_it_the_final_counts() -> None:
    words = InterimWords.of([shown(1.0, "by a"), shown(2.5, "by the door", end_ms=2_000)])
    assert words is not None
    assert words.last_word_ms["p50"] == pytest.approx(500.0)
    assert words.early == 0.0


def test_an_earlier_word_like_the_last_one_does_not_count() -> None:
    texts = [shown(1.0, "no"), shown(1.6, "no no"), shown(2.0, "no, no", end_ms=1_500)]
    words = InterimWords.of(texts)
    assert words is not None
    assert words.last_word_ms["p50"] == pytest.approx(100.0)


def test_other_utterances_results_do_not_count() -> None:
    texts = [
        shown(0.5, "stop", utterance=1),
        shown(0.9, "stop", end_ms=400, utterance=1),
        shown(2.4, "stop", end_ms=2_000, utterance=2),
    ]
    words = InterimWords.of(texts)
    assert words is not None
    assert (words.finals, words.early) == (2, 0.5)
    assert words.last_word_ms["p50"] == pytest.approx((100 + 400) / 2)


@pytest.mark.parametrize(
    ("final", "contradicted"), [("The next train, now", 0), ("a next train now", 1), ("the next", 1)]
)
def test_a_final_that_does_not_begin_with_the_stable_words_contradicts_them(
    final: str, contradicted: int
) -> None:
    texts = [shown(1.0, "the next train leaves", stable=14), shown(2.0, final, end_ms=1_900)]
    words = InterimWords.of(texts)
    assert words is not None
    assert (words.stable, words.contradicted) == (1, contradicted)


def test_finals_without_words_are_left_out() -> None:
    assert InterimWords.of([ShownText(emotion_event(1, "sad"), 1.0)]) is None
