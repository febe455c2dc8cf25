"""Statistics over sessions' events: time per emotion, and which emotion follows which. Only sums are kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from ..errors import AnalysisError
from ..protocol import messages

Weight = Literal["time", "utterances"]
State = Literal["complete", "partial", "incomplete"]
"""partial: the recording could not be read to its end. incomplete: the results end without `closed`."""

_FIRST: Final = ("angry", "happy", "sad", "neutral")


@dataclass(slots=True)
class EmotionStatistics:
    """Sums over the utterances of one label.

    uncertain_count: utterances with a reason for uncertainty. confidence: sum of confidences.
    confidence_ms: sum of confidence times duration in ms.
    """

    ms: int = 0
    utterances: int = 0
    uncertain_count: int = 0
    confidence: float = 0.0
    confidence_ms: float = 0.0

    def add(self, other: EmotionStatistics) -> None:
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
class Statistics:
    """Sums over one or more sessions.

    length_ms: of audio. lost_ms: the part of it that never arrived. silence_ms: what is neither lost nor in
    an utterance with a result. failed: utterances without a result. no_emotion: utterances that got no
    emotion, by reason; their time counts as silence. uncertainty_reasons: how often each
    occurs. transitions: (label, next label) -> how often.
    """

    length_ms: int = 0
    lost_ms: int = 0
    silence_ms: int = 0
    failed: int = 0
    no_emotion: Counter[str] = field(default_factory=Counter)
    emotions: dict[str, EmotionStatistics] = field(default_factory=dict)
    uncertainty_reasons: Counter[str] = field(default_factory=Counter)
    transitions: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, other: Statistics) -> None:
        self.length_ms += other.length_ms
        self.lost_ms += other.lost_ms
        self.silence_ms += other.silence_ms
        self.failed += other.failed
        self.no_emotion.update(other.no_emotion)
        self.uncertainty_reasons.update(other.uncertainty_reasons)
        self.transitions.update(other.transitions)
        for label, emotion in other.emotions.items():
            self.emotions.setdefault(label, EmotionStatistics()).add(emotion)

    @property
    def all(self) -> EmotionStatistics:
        total = EmotionStatistics()
        for emotion in self.emotions.values():
            total.add(emotion)
        return total

    def share(self, label: str, by: Weight) -> float | None:
        """None if there is no speech."""
        total = self.all.weight(by)
        return self.emotions.get(label, EmotionStatistics()).weight(by) / total if total else None

    def dominant(self, by: Weight) -> str | None:
        """The label with the greatest share; the first of equal ones."""
        labels = ordered_labels(self.emotions)
        return max(labels, key=lambda label: self.emotions[label].weight(by), default=None)

    def transitions_from(self, label: str) -> int:
        """How often an utterance with this label is followed by another."""
        return sum(count for (first, _), count in self.transitions.items() if first == label)


@dataclass(slots=True)
class RecordingSummary:
    """One session. name: of the recording. results: the file of its events."""

    name: str
    results: str
    state: State = "incomplete"
    statistics: Statistics = field(default_factory=Statistics)


def ordered_labels(labels: Iterable[str]) -> list[str]:
    """Each once: this project's own labels first, then others alphabetically."""
    distinct = set(labels)
    return [*(label for label in _FIRST if label in distinct), *sorted(distinct - set(_FIRST))]


def sum_statistics(recordings: Iterable[RecordingSummary]) -> Statistics:
    total = Statistics()
    for recording in recordings:
        total.add(recording.statistics)
    return total


def longest_recordings(recordings: Sequence[RecordingSummary], most: int) -> list[RecordingSummary]:
    """The longest `most` recordings in their original order; 0: all."""
    if most == 0 or len(recordings) <= most:
        return list(recordings)
    by_length = sorted(range(len(recordings)), key=lambda place: -recordings[place].statistics.length_ms)
    return [recordings[place] for place in sorted(by_length[:most])]


class SessionAccumulator:
    """Adds the events of one session to a recording's statistics, in order."""

    def __init__(self, recording: RecordingSummary) -> None:
        self._recording = recording
        self._tally = recording.statistics
        self._seq = 0
        self._last: messages.Emotion | None = None

    def is_later_session(self, event: messages.ServerEvent) -> bool:
        """Whether the event belongs to another session, since its `seq` went back; 0 is no number."""
        return 0 < event.seq < self._seq

    def add(self, event: messages.ServerEvent) -> None:
        self._seq = max(self._seq, event.seq)
        match event:
            case messages.SpeechStarted():
                self._extend_to(event.start_ms)
            case messages.Emotion(final=True):
                self._add_final(event)
            case messages.NoEmotion():
                self._extend_to(event.end_ms)
                self._tally.no_emotion[event.reason] += 1
            case messages.Dropped():
                self._tally.lost_ms += event.ms
            case messages.Error(code=AnalysisError.code):
                self._tally.failed += 1
            case messages.Closed():
                self._tally.length_ms = event.totals.audio_ms
                self._tally.lost_ms = event.totals.dropped_ms
                self._recording.state = "complete" if event.reason == "end_of_stream" else "partial"
            case _:
                return
        speech_ms = self._tally.all.ms
        self._tally.silence_ms = max(0, self._tally.length_ms - self._tally.lost_ms - speech_ms)

    def _extend_to(self, ms: int) -> None:
        """If the results break off, the recording's known length is the end of the last event."""
        self._tally.length_ms = max(self._tally.length_ms, ms)

    def _add_final(self, final: messages.Emotion) -> None:
        ms, uncertain = final.end_ms - final.start_ms, bool(final.uncertain)
        self._extend_to(final.end_ms)
        self._tally.emotions.setdefault(final.label, EmotionStatistics()).add(
            EmotionStatistics(ms, 1, uncertain, final.confidence, final.confidence * ms)
        )
        self._tally.uncertainty_reasons.update(final.uncertain)
        # No transition across an utterance without a result, whose label is unknown.
        if self._last is not None and final.utterance == self._last.utterance + 1:
            self._tally.transitions[self._last.label, final.label] += 1
        self._last = final
