"""Our events as LiveKit's; expected lists written out by hand."""

from __future__ import annotations

import msgspec
import pytest

pytest.importorskip("livekit.agents", reason="not installed: pip install 'emostream[livekit]'")

from livekit.agents.stt import SpeechEventType as Kind

from emostream.integrations.livekit.speaker import SpeakerEmotion
from emostream.integrations.livekit.speech_events import SpeechEvents, speech_data
from emostream.streamer.protocol import messages
from tests.support.events import emotion_event


def final(number: int, start_ms: int, end_ms: int, text: str = "hello", **fields: object) -> messages.Emotion:
    event = emotion_event(number, "angry")
    return msgspec.structs.replace(event, start_ms=start_ms, end_ms=end_ms, text=text, **fields)


def started(number: int, start_ms: int) -> messages.SpeechStarted:
    return messages.SpeechStarted(utterance=number, start_ms=start_ms)


def kinds(*events: messages.ServerEvent) -> list[Kind]:
    speech = SpeechEvents(0.0, 100.0)
    return [one.type for event in events for one in speech.of(event) if one.type != Kind.RECOGNITION_USAGE]


def test_an_utterance() -> None:
    assert kinds(started(1, 0), final(1, 0, 900)) == [
        Kind.START_OF_SPEECH,
        Kind.FINAL_TRANSCRIPT,
        Kind.END_OF_SPEECH,
    ]


def test_an_utterance_that_begins_before_the_final_of_the_last_continues_the_speech() -> None:
    assert kinds(started(1, 0), started(2, 1_500), final(1, 0, 900), final(2, 1_500, 2_000)) == [
        Kind.START_OF_SPEECH,
        Kind.FINAL_TRANSCRIPT,
        Kind.FINAL_TRANSCRIPT,
        Kind.END_OF_SPEECH,
    ]


@pytest.mark.parametrize(
    "end",
    [
        messages.NoEmotion(utterance=1, start_ms=0, end_ms=900, reason="no_speech", speech=0.1),
        messages.Error(code="analysis_failed", message="", fatal=False, utterance=1),
        final(1, 0, 900, text=""),
    ],
)
def test_speech_without_words_ends_without_a_transcript(end: messages.ServerEvent) -> None:
    assert kinds(started(1, 0), end) == [Kind.START_OF_SPEECH, Kind.END_OF_SPEECH]


def test_an_utterance_whose_words_failed_ends_once() -> None:
    failed = messages.Error(code="transcription_failed", message="", fatal=False, utterance=1)
    assert kinds(started(1, 0), failed, final(1, 0, 900, text="")) == [
        Kind.START_OF_SPEECH,
        Kind.END_OF_SPEECH,
    ]


def test_interim_results_with_words_are_interim_transcripts() -> None:
    interim = final(1, 0, 900, final=False)
    silent = final(1, 0, 900, text="", final=False)
    assert kinds(started(1, 0), interim, silent) == [Kind.START_OF_SPEECH, Kind.INTERIM_TRANSCRIPT]


def test_usage_adds_up_to_the_audio() -> None:
    speech = SpeechEvents(0.0, 100.0)
    events = [*speech.of(final(1, 500, 2_000)), *speech.of(final(2, 3_000, 4_500))]
    used = [one.recognition_usage.audio_duration for one in events if one.recognition_usage is not None]
    assert used == [2.0, 2.5]


def test_times_are_those_of_the_framework() -> None:
    word = messages.Word(text="hello", start_ms=600, end_ms=900, confidence=0.5)
    sure = messages.Word(text="you", start_ms=900, end_ms=1_000, confidence=1.0)
    data = speech_data([final(1, 500, 1_000, words=(word, sure), language="en")], 10.0)
    assert (data.start_time, data.end_time, data.confidence, data.language) == (10.5, 11.0, 0.75, "en")
    assert data.words is not None
    assert [(str(one), one.start_time, one.end_time) for one in data.words] == [
        ("hello", 10.6, 10.9),
        ("you", 10.9, 11.0),
    ]


def test_the_context_is_that_of_the_longest_reliable_utterance() -> None:
    finals = [final(1, 0, 5_000, reliable=False), final(2, 6_000, 8_000), final(3, 9_000, 10_000)]
    speaker = SpeakerEmotion.of(finals)
    assert speaker is not None
    assert speaker.to_instructions().startswith("The user sounds angry (probability ")
    doubtful = SpeakerEmotion.of(finals[:1])
    assert doubtful is not None
    assert doubtful.to_instructions() == ""
    assert SpeakerEmotion.of([]) is None
