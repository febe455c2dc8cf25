"""What a session's events add up to: how long each emotion was heard, and which follows which. Only sums
are kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from ..errors import AnalysisError
from ..protocol import messages

Weight = Literal["time", "utterances"]
State = Literal["whole", "partial", "incomplete"]
"""partial: of a recording that could not be read to its end. incomplete: the results break off."""

_FIRST: Final = ("angry", "happy", "sad", "neutral")


@dataclass(slots=True)
class Emotion:
    """Of one label. doubtful: utterances that are marked uncertain. confidence and confidence_ms: sums of
    the confidences, the second each times its milliseconds.
    """

    ms: int = 0
    utterances: int = 0
    uncertain_count: int = 0
    confidence: float = 0.0
    confidence_ms: float = 0.0

    def add(self, other: Emotion) -> None:
        self.ms += other.ms
        self.utterances += other.utterances
        self.uncertain_count += other.uncertain_count
        self.confidence += other.confidence
        self.confidence_ms += other.confidence_ms

    def weight(self, by: Weight) -> int:
        return self.ms if by == "time" else self.utterances

    def mean_confidence(self, by: Weight) -> float | None:
        total = self.confidence_ms if by == "time" else self.confidence
        return total / self.weight(by) if self.weight(by) else None


@dataclass(slots=True)
class Tally:
    """length_ms: of the sound. lost_ms: of that, what never arrived. silence_ms: what is neither lost nor in
    an utterance with a result. failed: utterances without a result. doubts: how often each reason is named.
    """

    length_ms: int = 0
    lost_ms: int = 0
    silence_ms: int = 0
    failed: int = 0
    emotions: dict[str, Emotion] = field(default_factory=dict)
    doubts: Counter[str] = field(default_factory=Counter)
    transitions: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, other: Tally) -> None:
        self.length_ms += other.length_ms
        self.lost_ms += other.lost_ms
        self.silence_ms += other.silence_ms
        self.failed += other.failed
        self.doubts.update(other.doubts)
        self.transitions.update(other.transitions)
        for label, emotion in other.emotions.items():
            self.emotions.setdefault(label, Emotion()).add(emotion)

    @property
    def all(self) -> Emotion:
        whole = Emotion()
        for emotion in self.emotions.values():
            whole.add(emotion)
        return whole

    def share(self, label: str, by: Weight) -> float | None:
        """None where there is no speech."""
        whole = self.all.weight(by)
        return self.emotions.get(label, Emotion()).weight(by) / whole if whole else None

    def dominant(self, by: Weight) -> str | None:
        """The label with the greatest share; of equals the first."""
        labels = ordered_labels(self.emotions)
        return max(labels, key=lambda label: self.emotions[label].weight(by), default=None)

    def followed(self, label: str) -> int:
        """How often something follows this label."""
        return sum(times for (first, _), times in self.transitions.items() if first == label)


@dataclass(slots=True)
class Recording:
    """One session. name: of the recording. results: where its events stand."""

    name: str
    results: str
    state: State = "incomplete"
    tally: Tally = field(default_factory=Tally)


def ordered_labels(labels: Iterable[str]) -> list[str]:
    """This project's own first, each once."""
    kept = set(labels)
    return [*(label for label in _FIRST if label in kept), *sorted(kept - set(_FIRST))]


def sum_statistics(recordings: Iterable[Recording]) -> Tally:
    total = Tally()
    for recording in recordings:
        total.add(recording.tally)
    return total


def longest(recordings: Sequence[Recording], most: int) -> list[Recording]:
    """At most so many, in the order in which they came; 0: all."""
    if most == 0 or len(recordings) <= most:
        return list(recordings)
    places = sorted(range(len(recordings)), key=lambda place: -recordings[place].tally.length_ms)
    return [recordings[place] for place in sorted(places[:most])]


class Session:
    """Adds the events of one session up, as they come."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._tally = recording.tally
        self._seq = 0
        self._last: messages.Emotion | None = None

    def is_later_session(self, event: messages.ServerEvent) -> bool:
        """Whether the event belongs to a later session; `seq` 0 is none."""
        return 0 < event.seq < self._seq

    def take(self, event: messages.ServerEvent) -> None:
        self._seq = max(self._seq, event.seq)
        match event:
            case messages.SpeechStarted():
                self._heard_until(event.start_ms)
            case messages.Emotion(final=True):
                self._judged(event)
            case messages.Dropped():
                self._tally.lost_ms += event.ms
            case messages.Error(code=AnalysisError.code):
                self._tally.failed += 1
            case messages.Closed():
                self._tally.length_ms = event.totals.audio_ms
                self._tally.lost_ms = event.totals.dropped_ms
                self._recording.state = "whole" if event.reason == "end_of_stream" else "partial"
            case _:
                return
        spoken_ms = self._tally.all.ms
        self._tally.silence_ms = max(0, self._tally.length_ms - self._tally.lost_ms - spoken_ms)

    def _heard_until(self, ms: int) -> None:
        """Where the results break off, this is how long the recording was as far as anybody knows."""
        self._tally.length_ms = max(self._tally.length_ms, ms)

    def _judged(self, final: messages.Emotion) -> None:
        ms, uncertain_count = final.end_ms - final.start_ms, bool(final.uncertain)
        self._heard_until(final.end_ms)
        self._tally.emotions.setdefault(final.label, Emotion()).add(
            Emotion(ms, 1, uncertain_count, final.confidence, final.confidence * ms)
        )
        self._tally.doubts.update(final.uncertain)
        # Between these two is none that has no result: nobody knows what that would have been.
        if self._last is not None and final.utterance == self._last.utterance + 1:
            self._tally.transitions[self._last.label, final.label] += 1
        self._last = final
