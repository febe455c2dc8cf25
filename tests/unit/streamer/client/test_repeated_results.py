"""A call, one person on each channel: the server restarts while one talks and the other has results."""

from __future__ import annotations

import msgspec

from emostream.streamer.client.repeated_results import RepeatedResults
from emostream.streamer.protocol import messages
from tests.support.events import emotion_event


def started(utterance: int, channel: int | None, start_ms: int) -> messages.SpeechStarted:
    return messages.SpeechStarted(utterance=utterance, channel=channel, start_ms=start_ms)


def final(utterance: int, channel: int | None, end_ms: int) -> messages.Emotion:
    return msgspec.structs.replace(emotion_event(utterance, "sad"), channel=channel, end_ms=end_ms)


def failed(utterance: int) -> messages.Error:
    return messages.Error(code="analysis_failed", message="", fatal=False, utterance=utterance)


def repeated(results: RepeatedResults, *events: messages.ServerEvent) -> list[bool]:
    return [results.note(event) for event in events]


def test_a_channel_s_results_come_once() -> None:
    """The second channel's utterance began at 1 s; the first one's ended at 4 s, and is heard again."""
    results = RepeatedResults()
    first = (started(1, 2, 1_000), started(2, 1, 2_000), final(2, 1, 4_000))
    assert repeated(results, *first) == [False] * 3
    results.begin_again(800)
    again = (started(1, 2, 200), started(2, 1, 1_200), final(2, 1, 3_200), failed(2), final(1, 2, 4_500))
    assert repeated(results, *again) == [False, True, True, True, False]
    # What follows on that channel is new, though its edge may have moved.
    assert repeated(results, started(3, 1, 3_120), final(3, 1, 5_000)) == [False, False]


def test_a_second_restart_before_anything_new() -> None:
    results = RepeatedResults()
    results.note(final(1, 1, 4_000))
    results.begin_again(1_000)
    results.begin_again(500)
    assert repeated(results, started(1, 1, 2_000), started(2, 1, 2_500)) == [True, False]


def test_a_stream_without_channels_repeats_nothing() -> None:
    """It is not sent again: see `ResendBuffer.rebase`."""
    results = RepeatedResults()
    results.note(final(1, None, 4_000))
    results.begin_again(1_000)
    assert repeated(results, started(1, None, 0), final(1, None, 2_000)) == [False, False]
