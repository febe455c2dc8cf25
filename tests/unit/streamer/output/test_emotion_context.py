"""How several utterances sound together."""

from __future__ import annotations

import msgspec

from emostream.streamer.output.emotion_context import emotion_context, overall_emotion
from tests.support.events import emotion_event


def test_the_longest_reliable_utterance_counts() -> None:
    short, long, doubtful = (
        msgspec.structs.replace(emotion_event(number, label), start_ms=0, end_ms=end_ms, reliable=reliable)
        for number, label, end_ms, reliable in (
            (1, "sad", 900, True),
            (2, "angry", 2_000, True),
            (3, "happy", 9_000, False),
        )
    )
    assert overall_emotion([short, long, doubtful]) == long
    context = emotion_context([short, long, doubtful])
    assert (context["label"], context["confidence"]) == ("angry", long.confidence)
    assert [one["label"] for one in context["utterances"]] == ["sad", "angry", "happy"]


def test_without_a_reliable_utterance_there_is_no_label() -> None:
    doubtful = msgspec.structs.replace(emotion_event(1, "happy"), reliable=False)
    context = emotion_context([doubtful])
    assert (context["label"], context["confidence"], len(context["utterances"])) == (None, None, 1)
    assert emotion_context([])["utterances"] == []
