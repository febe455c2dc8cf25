"""Statistics over sessions' events: time per emotion, and which emotion follows which. Only sums are kept.

A session whose channels were heard on their own (`--channels split`) has a summary for each, as long as the
session: what one speaker says is no transition from what another said.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from ..errors import AnalysisError
from ..protocol import messages

Weight = Literal["time", "utterances"]
State = Literal["complete", "partial", "incomplete", "utterances"]
"""partial: the recording could not be read to its end. incomplete: the results end without `closed`.
utterances: a table, which has only those with a result.
"""

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
    """One session, or one channel of it where each was heard on its own. name: of the recording. results: the
    file of its events. channel: from 1, or None. finals: its final results, where they were asked for.
    """

    name: str
    results: str
    state: State = "incomplete"
    statistics: Statistics = field(default_factory=Statistics)
    channel: int | None = None
    finals: list[messages.Emotion] = field(default_factory=list)


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
    """Adds the events of one session to statistics, in order. name, results: see RecordingSummary.
    keep_finals: keep the final results as well.
    """

    def __init__(self, name: str, results: str, *, keep_finals: bool = False) -> None:
        self._keep_finals = keep_finals
        self._session = RecordingSummary(name, results)
        self._channels: dict[int | None, _ChannelAccumulator] = {}
        self._channel_of: dict[int, int | None] = {}
        self._seq = 0

    @property
    def recordings(self) -> list[RecordingSummary]:
        """By channel, each as long as the session; the session as a whole where no event has a channel."""
        channels = sorted(self._channels.items(), key=lambda item: item[0] or 0)
        found = [channel.summary for _, channel in channels] or [self._session]
        total = self._session.statistics
        for recording in found:
            recording.state = self._session.state
            statistics = recording.statistics
            statistics.length_ms, statistics.lost_ms = total.length_ms, total.lost_ms
            statistics.silence_ms = max(0, total.length_ms - total.lost_ms - statistics.all.ms)
        return found

    def is_later_session(self, event: messages.ServerEvent) -> bool:
        """Whether the event belongs to another session, since its `seq` went back; 0 is no number."""
        return 0 < event.seq < self._seq

    def add(self, event: messages.ServerEvent) -> None:
        self._seq = max(self._seq, event.seq)
        total = self._session.statistics
        match event:
            case messages.SpeechStarted():
                self._extend_to(event.start_ms)
                self._channel_of[event.utterance] = event.channel
            case messages.Emotion(final=True):
                self._extend_to(event.end_ms)
                channel = self._of(event)
                channel.add_final(event, self._channel_of)
                if self._keep_finals:
                    channel.summary.finals.append(event)
                self._forget_earlier()
            case messages.NoEmotion():
                self._extend_to(event.end_ms)
                self._of(event).statistics.no_emotion[event.reason] += 1
            case messages.Dropped():
                total.lost_ms += event.ms
            case messages.Error(code=AnalysisError.code):
                self._failed(event).failed += 1
            case messages.Closed():
                total.length_ms = event.totals.audio_ms
                total.lost_ms = event.totals.dropped_ms
                self._session.state = "complete" if event.reason == "end_of_stream" else "partial"

    def _extend_to(self, ms: int) -> None:
        """If the results break off, the recording's known length is the end of the last event."""
        total = self._session.statistics
        total.length_ms = max(total.length_ms, ms)

    def _of(self, event: messages.Emotion | messages.NoEmotion) -> _ChannelAccumulator:
        self._channel_of[event.utterance] = event.channel
        return self._channel(event.channel)

    def _channel(self, number: int | None) -> _ChannelAccumulator:
        known = self._channels.get(number)
        if known is None:
            whole = self._session
            # What was counted before any event named a channel stays with the session's first one.
            statistics = whole.statistics if number is None or not self._channels else Statistics()
            summary = RecordingSummary(whole.name, whole.results, whole.state, statistics, number)
            known = self._channels[number] = _ChannelAccumulator(summary)
        return known

    def _failed(self, error: messages.Error) -> Statistics:
        """Of the channel whose utterance it was."""
        if error.utterance in self._channel_of:
            return self._channel(self._channel_of[error.utterance]).statistics
        return next(iter(self._channels.values())).statistics if self._channels else self._session.statistics

    def _forget_earlier(self) -> None:
        """Of the utterances that every channel has passed."""
        passed = min(channel.passed for channel in self._channels.values())
        for utterance in [each for each in self._channel_of if each <= passed]:
            del self._channel_of[utterance]


class _ChannelAccumulator:
    def __init__(self, summary: RecordingSummary) -> None:
        self.summary = summary
        self._last: messages.Emotion | None = None

    @property
    def statistics(self) -> Statistics:
        return self.summary.statistics

    @property
    def passed(self) -> int:
        """The number of its last final result."""
        return 0 if self._last is None else self._last.utterance

    def add_final(self, final: messages.Emotion, channel_of: Mapping[int, int | None]) -> None:
        """channel_of: of the utterances since the last final result of this channel, as far as known."""
        ms, uncertain = final.end_ms - final.start_ms, bool(final.uncertain)
        self.statistics.emotions.setdefault(final.label, EmotionStatistics()).add(
            EmotionStatistics(ms, 1, uncertain, final.confidence, final.confidence * ms)
        )
        self.statistics.uncertainty_reasons.update(final.uncertain)
        # No transition across an utterance without a result, whose label is unknown.
        if self._last is not None and all(
            channel_of.get(between, final.channel) != final.channel
            for between in range(self._last.utterance + 1, final.utterance)
        ):
            self.statistics.transitions[self._last.label, final.label] += 1
        self._last = final
