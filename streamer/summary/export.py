"""A summary for programs: JSON and CSV; and how its numbers are written for people."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, TextIO

import msgspec

from .statistics import Emotion, Recording, Tally, Weight, ordered_labels, sum_statistics

_MARKS: Final = {"whole": "", "partial": " (partial)", "incomplete": " (incomplete)"}


@dataclass(frozen=True)
class Summary:
    """by: whether shares and means are of time or of utterances. left_out: why files could not be read."""

    recordings: Sequence[Recording]
    by: Weight = "time"
    left_out: Sequence[str] = ()

    @cached_property
    def total(self) -> Tally:
        return sum_statistics(self.recordings)

    @cached_property
    def labels(self) -> list[str]:
        return ordered_labels(self.total.emotions)


def marked(recording: Recording) -> str:
    """Its name, and whether its results are whole."""
    return recording.name + _MARKS[recording.state]


def minutes(ms: int) -> str:
    """75_300 -> 1:15; hours are 60 minutes each."""
    return "{}:{:02d}".format(*divmod(round(ms / 1_000), 60))


def percent(share: float | None) -> str:
    if share is None:
        return "-"
    return "<1%" if 0 < share < 0.005 else f"{share:.0%}"


def fitted(names: Sequence[str], room: int) -> list[str]:
    """The ends of names that are too long, where these still tell them apart."""
    ends = [name if len(name) <= room else f"…{name[1 - room :]}" for name in names]
    return ends if len(set(ends)) == len(set(names)) else list(names)


def share_of(part: int, whole: int) -> float | None:
    return _rounded(part / whole) if whole else None


def write_json(summary: Summary, out: TextIO) -> None:
    total, labels = summary.total, summary.labels
    whole = {
        "by": summary.by,
        "labels": labels,
        "recordings": len(summary.recordings),
        **_numbers(total, summary),
        "transitions": {first: {then: total.transitions[first, then] for then in labels} for first in labels},
        "transition_shares": {
            first: {then: share_of(total.transitions[first, then], total.followed(first)) for then in labels}
            for first in labels
        },
        "files": [
            {"file": one.name, "results": one.results, "state": one.state, **_numbers(one.tally, summary)}
            for one in summary.recordings
        ],
        "left_out": list(summary.left_out),
    }
    out.write(msgspec.json.format(msgspec.json.encode(whole), indent=2).decode() + "\n")


def _numbers(tally: Tally, summary: Summary) -> dict[str, Any]:
    speech = tally.all
    return {
        "length_ms": tally.length_ms,
        "speech_ms": speech.ms,
        "silence_ms": tally.silence_ms,
        "lost_ms": tally.lost_ms,
        "utterances": speech.utterances,
        "confidence": _rounded(speech.mean_confidence(summary.by)),
        "uncertain": speech.uncertain_count,
        "uncertain_share": share_of(speech.uncertain_count, speech.utterances),
        "reasons": dict(sorted(tally.doubts.items())),
        "errors": tally.failed,
        "dominant": tally.dominant(summary.by),
        "emotions": {label: _emotion(tally, label, summary.by) for label in summary.labels},
    }


def _emotion(tally: Tally, label: str, by: Weight) -> dict[str, Any]:
    emotion = tally.emotions.get(label, Emotion())
    return {
        "ms": emotion.ms,
        "share": _rounded(tally.share(label, by)),
        "utterances": emotion.utterances,
        "confidence": _rounded(emotion.mean_confidence(by)),
        "uncertain": emotion.uncertain_count,
    }


def _rounded(number: float | None) -> float | None:
    return None if number is None else round(number, 6)


def write_csv(summary: Summary, out: TextIO) -> None:
    """A row a recording; times in seconds, shares from 0 to 1, nothing where there is no speech."""
    rows = csv.writer(out, lineterminator="\n")
    first = ("file", "results", "state", "length_s", "speech_s", "silence_s", "lost_s", "utterances")
    columns = [f"{what}_{label}" for what in ("seconds", "share") for label in summary.labels]
    rows.writerow([*first, "confidence", "uncertain", "errors", "dominant", *columns])
    for one in summary.recordings:
        numbers = _numbers(one.tally, summary)
        emotions = numbers["emotions"].values()
        times = (numbers[f"{what}_ms"] / 1_000 for what in ("length", "speech", "silence", "lost"))
        others = (numbers[what] for what in ("utterances", "confidence", "uncertain", "errors", "dominant"))
        heard = [each["ms"] / 1_000 for each in emotions] + [each["share"] for each in emotions]
        rows.writerow([one.name, one.results, one.state, *times, *others, *heard])
