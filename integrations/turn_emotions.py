"""Which emotions belong to a transcription that another transcriber made of the same audio.

The two have neither boundaries nor clock in common: a transcription comes some time after the words, and an
utterance of ours may hold several transcriptions, or the other way round. So a transcription is taken to
cover a stretch of the stream's clock (the user's last turn, where the framework tells of turns; else all
since the transcription before it), and has the emotions of all utterances that overlap it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

from emostream.streamer.protocol import messages

_KEPT: Final = 64
"""Utterances and turns of the past; a transcription is late by one or two."""
_SAME_SPEECH_MS: Final = 1_000


@dataclass(frozen=True, slots=True)
class Stretch:
    """Of the stream's clock. speaking: whether the user still spoke at its end."""

    start_ms: int
    end_ms: int
    speaking: bool = False


@dataclass(slots=True)
class _Utterance:
    start_ms: int
    end_ms: int | None = None  # in progress
    done: bool = False
    emotion: messages.Emotion | None = None


@dataclass(slots=True)
class _Turn:
    start_ms: int
    end_ms: int | None = None  # in progress
    transcribed: bool = False


class TurnEmotions:
    """Times are positions on the stream's clock."""

    def __init__(self) -> None:
        self._utterances: dict[int, _Utterance] = {}
        self._turns: deque[_Turn] = deque(maxlen=_KEPT)
        self._transcribed_until_ms = 0

    def heard(self, event: messages.ServerEvent) -> None:
        """Note an event of the stream."""
        match event:
            case messages.SpeechStarted(utterance=number, start_ms=start_ms):
                self._utterances[number] = _Utterance(start_ms)
                while len(self._utterances) > _KEPT:
                    del self._utterances[next(iter(self._utterances))]
            case messages.Emotion(final=True) | messages.NoEmotion():
                emotion = event if isinstance(event, messages.Emotion) else None
                self._utterances[event.utterance] = _Utterance(event.start_ms, event.end_ms, True, emotion)
            case messages.Error(utterance=int(number)) if number in self._utterances:
                self._utterances[number].done = True  # it has no result

    def turn_started(self, at_ms: int) -> None:
        if not self._turns or self._turns[-1].end_ms is not None:
            self._turns.append(_Turn(max(0, at_ms)))

    def turn_ended(self, at_ms: int) -> None:
        if self._turns and self._turns[-1].end_ms is None:
            self._turns[-1].end_ms = max(at_ms, self._turns[-1].start_ms)

    def transcribed(self, now_ms: int) -> Stretch:
        """What a transcription covers that comes now."""
        since_ms, self._transcribed_until_ms = self._transcribed_until_ms, now_ms
        if not self._turns:
            return self._since_the_last(Stretch(since_ms, now_ms))
        ended = [turn for turn in self._turns if turn.end_ms is not None]
        new = [turn for turn in ended if not turn.transcribed]
        for turn in new:
            turn.transcribed = True
        if new:
            return Stretch(new[0].start_ms, new[-1].end_ms or now_ms)
        last = self._turns[-1]
        if last.end_ms is None:
            return Stretch(last.start_ms, now_ms, speaking=True)
        return Stretch(last.start_ms, last.end_ms)

    def _since_the_last(self, stretch: Stretch) -> Stretch:
        """Transcriptions at nearly the same time are parts of one piece of speech."""
        if self._overlapping(stretch) or stretch.end_ms - stretch.start_ms > _SAME_SPEECH_MS:
            return stretch
        last = max(self._utterances.values(), key=lambda one: one.start_ms, default=None)
        return stretch if last is None else Stretch(last.start_ms, stretch.end_ms)

    def emotions(self, stretch: Stretch) -> list[messages.Emotion]:
        """The finals so far, in the order of speech."""
        return [one.emotion for one in self._overlapping(stretch) if one.emotion is not None]

    def incomplete(self, stretch: Stretch) -> bool:
        """Whether an emotion is still to come, perhaps of speech that nothing is known of yet. While the
        user speaks, nothing is waited for.
        """
        known = self._overlapping(stretch)
        return not stretch.speaking and not (known and all(one.done for one in known))

    def _overlapping(self, stretch: Stretch) -> list[_Utterance]:
        return [
            one
            for one in self._utterances.values()
            if one.start_ms < stretch.end_ms and (one.end_ms is None or one.end_ms > stretch.start_ms)
        ]
