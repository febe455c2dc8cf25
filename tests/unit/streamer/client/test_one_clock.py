"""Two sessions put together are one: numbers and times go on."""

from __future__ import annotations

import msgspec

from emostream.streamer.client import Reconnected
from emostream.streamer.client.one_clock import OneClock
from emostream.streamer.protocol import messages
from tests.support.events import emotion_event

WORD = messages.Word(text="so", start_ms=100, end_ms=300, confidence=None)


def reconnected(clock_start_ms: int, *, resumed: bool = False) -> Reconnected:
    return Reconnected(
        resumed=resumed,
        session="s",
        lost_from_seq=None,
        missing_from_ms=None,
        clock_start_ms=clock_start_ms,
        reason="",
    )


def emotion(seq: int, utterance: int, start_ms: int, end_ms: int) -> messages.Emotion:
    return msgspec.structs.replace(
        emotion_event(utterance, "sad"), seq=seq, start_ms=start_ms, end_ms=end_ms, words=(WORD,)
    )


def started(seq: int, utterance: int, start_ms: int) -> messages.SpeechStarted:
    return messages.SpeechStarted(seq=seq, utterance=utterance, start_ms=start_ms)


def dropped(seq: int, at_ms: int, ms: int) -> messages.Dropped:
    return messages.Dropped(seq=seq, at_ms=at_ms, ms=ms, reason="")


def closed(seq: int, audio_ms: int, utterances: int, dropped_ms: int) -> messages.Closed:
    totals = messages.Totals(audio_ms=audio_ms, utterances=utterances, dropped_ms=dropped_ms)
    return messages.Closed(seq=seq, reason="end_of_stream", totals=totals)


def test_a_session_after_another_goes_on_where_it_begins() -> None:
    """The second utterance has begun, and the server is killed: it is heard again as the second."""
    clock = OneClock()
    first: list[messages.ServerEvent] = [
        started(1, 1, 500),
        dropped(2, 800, 40),
        emotion(3, 1, 500, 1_500),
        started(4, 2, 2_500),
        dropped(5, 3_000, 70),
    ]
    assert [clock.place(event) for event in first] == first
    clock.reconnected(reconnected(2_200))
    second: list[messages.ServerEvent] = [
        started(1, 1, 300),
        dropped(2, 800, 70),
        emotion(3, 1, 300, 1_900),
        messages.Error(seq=4, code="analysis_failed", message="", fatal=False, utterance=2),
        messages.NoEmotion(seq=5, utterance=3, start_ms=4_000, end_ms=5_000, reason="no_speech", speech=0),
        closed(6, 6_000, 1, 70),
    ]
    placed = [clock.place(event) for event in second]
    assert [event.seq for event in placed] == [6, 7, 8, 9, 10, 11]
    start, gap, final, failed, nothing, end = placed
    assert (start.utterance, start.start_ms) == (2, 2_500)  # type: ignore[union-attr]
    assert gap.at_ms == 3_000  # type: ignore[union-attr]
    assert isinstance(final, messages.Emotion)
    assert (final.utterance, final.start_ms, final.end_ms) == (2, 2_500, 4_100)
    assert (final.words[0].start_ms, final.words[0].end_ms) == (2_300, 2_500)
    assert failed.utterance == 3  # type: ignore[union-attr]
    assert (nothing.utterance, nothing.start_ms) == (4, 6_200)  # type: ignore[union-attr]
    # The gap of 70 ms was reported by both sessions, and counts once.
    assert end.totals == messages.Totals(audio_ms=8_200, utterances=2, dropped_ms=110)  # type: ignore[union-attr]


def test_a_resumed_session_is_the_same() -> None:
    clock = OneClock()
    clock.place(emotion(1, 1, 500, 1_500))
    clock.reconnected(reconnected(0, resumed=True))
    assert clock.place(emotion(2, 2, 2_500, 3_500)) == emotion(2, 2, 2_500, 3_500)
