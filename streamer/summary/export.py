"""A summary as JSON and CSV, and the text form of its numbers."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, TextIO

import msgspec

from ..output.csv_cells import safe_cell
from .statistics import (
    EmotionStatistics,
    RecordingSummary,
    Statistics,
    Weight,
    ordered_labels,
    sum_statistics,
)

_MARKS: Final = {"complete": "", "partial": " (partial)", "incomplete": " (incomplete)", "utterances": ""}


@dataclass(frozen=True)
class Summary:
    """by: what shares and means are weighted by. left_out: why files could not be read."""

    recordings: Sequence[RecordingSummary]
    by: Weight = "time"
    left_out: Sequence[str] = ()

    @cached_property
    def total(self) -> Statistics:
        return sum_statistics(self.recordings)

    @cached_property
    def sessions(self) -> int:
        """How many recordings there are, however many channels they have."""
        return len({(recording.results, recording.name) for recording in self.recordings})

    @cached_property
    def labels(self) -> list[str]:
        return ordered_labels(self.total.emotions)


def display_name(recording: RecordingSummary) -> str:
    """Its name, its channel if it is one of several, and its state if it is not complete."""
    channel = "" if recording.channel is None else f", channel {recording.channel}"
    return recording.name + channel + _MARKS[recording.state]


def minutes(ms: int) -> str:
    """75_300 -> 1:15; hours are 60 minutes each."""
    return "{}:{:02d}".format(*divmod(round(ms / 1_000), 60))


def percent(share: float | None) -> str:
    if share is None:
        return "-"
    return "<1%" if 0 < share < 0.005 else f"{share:.0%}"


def shorten_names(names: Sequence[str], width: int) -> list[str]:
    """Names that are too long are cut at the beginning, if they remain distinct."""
    ends = [name if len(name) <= width else f"…{name[1 - width :]}" for name in names]
    return ends if len(set(ends)) == len(set(names)) else list(names)


def share_of(part: int, total: int) -> float | None:
    return _rounded(part / total) if total else None


def write_json(summary: Summary, out: TextIO) -> None:
    total, labels = summary.total, summary.labels
    summary_json = {
        "by": summary.by,
        "labels": labels,
        "recordings": summary.sessions,
        **_numbers(total, summary),
        "transitions": {first: {then: total.transitions[first, then] for then in labels} for first in labels},
        "transition_shares": {
            first: {
                then: share_of(total.transitions[first, then], total.transitions_from(first))
                for then in labels
            }
            for first in labels
        },
        "files": [
            {
                "file": each.name,
                "results": each.results,
                "channel": each.channel,
                "state": each.state,
                **_numbers(each.statistics, summary),
            }
            for each in summary.recordings
        ],
        "left_out": list(summary.left_out),
    }
    out.write(msgspec.json.format(msgspec.json.encode(summary_json), indent=2).decode() + "\n")


def _numbers(statistics: Statistics, summary: Summary) -> dict[str, Any]:
    speech = statistics.all
    return {
        "length_ms": statistics.length_ms,
        "speech_ms": speech.ms,
        "silence_ms": statistics.silence_ms,
        "lost_ms": statistics.lost_ms,
        "utterances": speech.utterances,
        "confidence": _rounded(speech.mean_confidence(summary.by)),
        "uncertain": speech.uncertain_count,
        "uncertain_share": share_of(speech.uncertain_count, speech.utterances),
        "reasons": dict(sorted(statistics.uncertainty_reasons.items())),
        "errors": statistics.failed,
        "no_emotion": dict(sorted(statistics.no_emotion.items())),
        "dominant": statistics.dominant(summary.by),
        "emotions": {label: _emotion(statistics, label, summary.by) for label in summary.labels},
    }


def _emotion(statistics: Statistics, label: str, by: Weight) -> dict[str, Any]:
    emotion = statistics.emotions.get(label, EmotionStatistics())
    return {
        "ms": emotion.ms,
        "share": _rounded(statistics.share(label, by)),
        "utterances": emotion.utterances,
        "confidence": _rounded(emotion.mean_confidence(by)),
        "uncertain": emotion.uncertain_count,
    }


def _rounded(number: float | None) -> float | None:
    return None if number is None else round(number, 6)


def write_csv(summary: Summary, out: TextIO) -> None:
    """One row per recording or channel; times in seconds, shares from 0 to 1, empty where nobody speaks."""
    rows = csv.writer(out, lineterminator="\n")
    first = (
        "file",
        "results",
        "channel",
        "state",
        "length_s",
        "speech_s",
        "silence_s",
        "lost_s",
        "utterances",
    )
    columns = [f"{what}_{label}" for what in ("seconds", "share") for label in summary.labels]
    rows.writerow([*first, "confidence", "uncertain", "errors", "dominant", *columns])
    for recording in summary.recordings:
        numbers = _numbers(recording.statistics, summary)
        emotions = numbers["emotions"].values()
        times = (numbers[f"{what}_ms"] / 1_000 for what in ("length", "speech", "silence", "lost"))
        others = (numbers[what] for what in ("utterances", "confidence", "uncertain", "errors", "dominant"))
        per_label = [each["ms"] / 1_000 for each in emotions] + [each["share"] for each in emotions]
        names = safe_cell(recording.name), safe_cell(recording.results)
        rows.writerow([*names, recording.channel, recording.state, *times, *others, *per_label])
