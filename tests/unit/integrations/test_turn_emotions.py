"""Which emotions belong to a transcription of another transcriber; times worked out by hand."""

from __future__ import annotations

import msgspec
import pytest

from emostream.integrations.turn_emotions import Stretch, TurnEmotions
from emostream.streamer.protocol import messages
from tests.support.events import emotion_event


def began(turns: TurnEmotions, number: int, start_ms: int) -> None:
    turns.heard(messages.SpeechStarted(utterance=number, start_ms=start_ms))


def ended(turns: TurnEmotions, number: int, start_ms: int, end_ms: int) -> messages.Emotion:
    event = msgspec.structs.replace(emotion_event(number, "sad"), start_ms=start_ms, end_ms=end_ms)
    turns.heard(event)
    return event


def test_a_transcription_has_the_utterances_since_the_one_before() -> None:
    turns = TurnEmotions()
    first = ended(turns, 1, 500, 2_000)
    stretch = turns.transcribed(2_600)
    assert turns.emotions(stretch) == [first]
    second, third = ended(turns, 2, 3_000, 4_000), ended(turns, 3, 5_000, 6_000)
    assert turns.emotions(turns.transcribed(6_500)) == [second, third]


def test_a_transcription_is_incomplete_until_its_utterances_have_ended() -> None:
    turns = TurnEmotions()
    began(turns, 1, 500)
    stretch = turns.transcribed(2_000)
    assert turns.incomplete(stretch)
    assert turns.emotions(stretch) == []
    event = ended(turns, 1, 500, 1_900)
    assert not turns.incomplete(stretch)
    assert turns.emotions(stretch) == [event]


@pytest.mark.parametrize(
    "event",
    [
        messages.NoEmotion(utterance=1, start_ms=500, end_ms=900, reason="no_speech", speech=0.1),
        messages.Error(code="analysis_failed", message="", fatal=False, utterance=1),
    ],
)
def test_an_utterance_without_a_result_is_not_waited_for(event: messages.ServerEvent) -> None:
    turns = TurnEmotions()
    began(turns, 1, 500)
    stretch = turns.transcribed(1_000)
    turns.heard(event)
    assert not turns.incomplete(stretch)
    assert turns.emotions(stretch) == []


def test_speech_that_is_not_known_of_yet_is_waited_for() -> None:
    assert TurnEmotions().incomplete(Stretch(0, 1_000))


def test_two_transcriptions_of_one_utterance_have_both_its_emotion() -> None:
    turns = TurnEmotions()
    event = ended(turns, 1, 500, 2_000)
    assert turns.emotions(turns.transcribed(2_500)) == [event]
    assert turns.emotions(turns.transcribed(2_700)) == [event]
    assert turns.emotions(turns.transcribed(9_000)) == []  # too late to be the same speech


def test_a_late_transcription_belongs_to_the_turn_that_has_ended() -> None:
    """The user speaks again when it comes."""
    turns = TurnEmotions()
    turns.turn_started(400)
    first = ended(turns, 1, 500, 2_000)
    turns.turn_ended(2_100)
    turns.turn_started(2_900)
    began(turns, 2, 3_000)
    stretch = turns.transcribed(3_400)
    assert stretch == Stretch(400, 2_100)
    assert turns.emotions(stretch) == [first]
    assert not turns.incomplete(stretch)


def test_while_the_user_speaks_nothing_is_waited_for() -> None:
    turns = TurnEmotions()
    turns.turn_started(400)
    began(turns, 1, 500)
    stretch = turns.transcribed(2_000)
    assert stretch == Stretch(400, 2_000, speaking=True)
    assert not turns.incomplete(stretch)


def test_a_transcription_of_several_turns_has_all_of_them() -> None:
    turns = TurnEmotions()
    events = []
    for number, at_ms in enumerate((0, 2_000), start=1):
        turns.turn_started(at_ms)
        events.append(ended(turns, number, at_ms + 100, at_ms + 900))
        turns.turn_ended(at_ms + 1_000)
    assert turns.emotions(turns.transcribed(3_500)) == events
    assert turns.emotions(turns.transcribed(3_600)) == events[1:]  # another part of the last turn


def test_utterances_of_the_past_are_forgotten() -> None:
    turns = TurnEmotions()
    for number in range(1, 1_001):
        began(turns, number, number * 1_000)
        ended(turns, number, number * 1_000, number * 1_000 + 500)
    assert len(turns.emotions(Stretch(0, 2_000_000))) == 64
