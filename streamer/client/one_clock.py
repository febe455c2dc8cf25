"""The sessions that follow one another in a client stream as one: its times and numbers go on."""

from __future__ import annotations

import msgspec

from ..protocol import messages
from .reconnect import Reconnected


class OneClock:
    """Call `reconnected` and `place` in the order of the events."""

    def __init__(self) -> None:
        # Of the sessions before the present one.
        self._begin_ms = self._begin_utterance = self._begin_seq = 0
        self._earlier_dropped_ms = 0

        # Of the present one.
        self._last_utterance = self._last_seq = 0
        self._dropped: list[tuple[int, int]] = []  # where on its clock, and how long

        self._emotions = 0

    def reconnected(self, event: Reconnected) -> None:
        if event.resumed:
            return
        # What lies behind the beginning of the new session's clock is heard and reported again.
        self._earlier_dropped_ms += sum(ms for at_ms, ms in self._dropped if at_ms < event.clock_start_ms)
        self._begin_ms += event.clock_start_ms
        self._begin_utterance += self._last_utterance
        self._begin_seq += self._last_seq
        self._last_utterance = self._last_seq = 0
        self._dropped = []

    def place(self, event: messages.ServerEvent) -> messages.ServerEvent:
        """The event of the present session as one of them all. An utterance that is heard again in a fresh
        session keeps its number.
        """
        self._last_seq = max(self._last_seq, event.seq)
        event = messages.with_seq(event, self._begin_seq + event.seq)
        match event:
            case messages.Emotion() | messages.NoEmotion():
                return self._place_utterance(event)
            case messages.SpeechStarted():
                return msgspec.structs.replace(
                    event,
                    utterance=self._begin_utterance + event.utterance,
                    start_ms=self._begin_ms + event.start_ms,
                )
            case messages.Dropped():
                self._dropped.append((event.at_ms, event.ms))
                return msgspec.structs.replace(event, at_ms=self._begin_ms + event.at_ms)
            case messages.Error(utterance=int(number)):
                return msgspec.structs.replace(event, utterance=self._begin_utterance + number)
            case messages.Closed():
                return msgspec.structs.replace(event, totals=self._totals(event.totals))
            case _:
                return event

    def _place_utterance(
        self, event: messages.Emotion | messages.NoEmotion
    ) -> messages.Emotion | messages.NoEmotion:
        if isinstance(event, messages.NoEmotion) or event.final:
            self._last_utterance = max(self._last_utterance, event.utterance)
        placed = msgspec.structs.replace(
            event,
            utterance=self._begin_utterance + event.utterance,
            start_ms=self._begin_ms + event.start_ms,
            end_ms=self._begin_ms + event.end_ms,
        )
        if isinstance(placed, messages.NoEmotion):
            return placed
        self._emotions += placed.final
        return msgspec.structs.replace(placed, words=tuple(self._place_word(word) for word in placed.words))

    def _place_word(self, word: messages.Word) -> messages.Word:
        return msgspec.structs.replace(
            word, start_ms=self._begin_ms + word.start_ms, end_ms=self._begin_ms + word.end_ms
        )

    def _totals(self, totals: messages.Totals) -> messages.Totals:
        return messages.Totals(
            audio_ms=self._begin_ms + totals.audio_ms,
            utterances=self._emotions,
            dropped_ms=self._earlier_dropped_ms + totals.dropped_ms,
        )
