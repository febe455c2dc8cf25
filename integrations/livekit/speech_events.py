"""Events of a stream as LiveKit's speech events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from livekit.agents import LanguageCode
from livekit.agents.stt import RecognitionUsage, SpeechData, SpeechEvent, SpeechEventType
from livekit.agents.types import TimedString

from emostream.streamer.output.emotion_context import emotion_context
from emostream.streamer.protocol import messages

METADATA_KEY: Final = "emostream"
"""Of `SpeechData.metadata`."""


class SpeechEvents:
    """offset_s: where the stream's clock begins on LiveKit's; began_at: the same in wall-clock time."""

    def __init__(self, offset_s: float, began_at: float) -> None:
        self._offset_s = offset_s
        self._began_at = began_at
        self._speaking: set[int] = set()  # utterances without a final
        self._used_ms = 0

    def of(self, event: messages.ServerEvent) -> list[SpeechEvent]:
        """START_OF_SPEECH and END_OF_SPEECH alternate: an utterance may begin before the last one's final."""
        match event:
            case messages.SpeechStarted(utterance=number):
                first = not self._speaking
                self._speaking.add(number)
                return [SpeechEvent(SpeechEventType.START_OF_SPEECH)] if first else []
            case messages.Emotion(final=False):
                kind = SpeechEventType.INTERIM_TRANSCRIPT
                return [SpeechEvent(kind, alternatives=[self._data([event])])] if event.text else []
            case messages.Emotion():
                return [
                    *self._final(event),
                    *self._usage(event.end_ms),
                    *self._end(event.utterance, event.end_ms),
                ]
            case messages.NoEmotion():
                return self._end(event.utterance, event.end_ms)
            case messages.Error(utterance=int(number)) if event.code != "transcription_failed":
                return self._end(number, None)
            case _:
                return []

    def _final(self, event: messages.Emotion) -> list[SpeechEvent]:
        if not event.text:
            return []
        return [
            SpeechEvent(
                SpeechEventType.FINAL_TRANSCRIPT,
                alternatives=[self._data([event])],
                speech_end_time=self._began_at + event.end_ms / 1_000,
            )
        ]

    def _usage(self, end_ms: int) -> list[SpeechEvent]:
        used_ms, self._used_ms = max(0, end_ms - self._used_ms), max(end_ms, self._used_ms)
        usage = RecognitionUsage(audio_duration=used_ms / 1_000)
        return [SpeechEvent(SpeechEventType.RECOGNITION_USAGE, recognition_usage=usage)]

    def _end(self, number: int, end_ms: int | None) -> list[SpeechEvent]:
        if number not in self._speaking:
            return []
        self._speaking.remove(number)
        if self._speaking:
            return []
        at = None if end_ms is None else self._began_at + end_ms / 1_000
        return [SpeechEvent(SpeechEventType.END_OF_SPEECH, speech_end_time=at)]

    def _data(self, events: Sequence[messages.Emotion]) -> SpeechData:
        return speech_data(events, self._offset_s)


def speech_data(events: Sequence[messages.Emotion], offset_s: float = 0.0) -> SpeechData:
    """Of one utterance or more, one after the other. confidence: the mean of the words', 0 where unknown."""
    words = [
        TimedString(
            word.text,
            start_time=word.start_ms / 1_000 + offset_s,
            end_time=word.end_ms / 1_000 + offset_s,
        )
        for event in events
        for word in event.words
    ]
    known = [word.confidence for event in events for word in event.words if word.confidence is not None]
    languages = [event.language for event in events if event.language is not None]
    return SpeechData(
        language=LanguageCode(languages[0] if languages else ""),
        text=" ".join(event.text for event in events if event.text),
        start_time=events[0].start_ms / 1_000 + offset_s if events else 0.0,
        end_time=events[-1].end_ms / 1_000 + offset_s if events else 0.0,
        confidence=sum(known) / len(known) if known else 0.0,
        words=words or None,
        metadata={METADATA_KEY: emotion_context(events)},
    )
