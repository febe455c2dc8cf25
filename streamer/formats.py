"""A recording's results in the formats that other programs read. Each is a sink: events in, text out as
they come.

SRT and WebVTT are for players, TextGrid for Praat, RTTM for diarisation tools, labels for Audacity, CSV
for the rest. Only finals are written; times are the recording's.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final, Literal, TextIO, get_args

from . import events
from .session import Sink
from .sinks import JsonLinesSink

FormatName = Literal["jsonl", "csv", "srt", "vtt", "textgrid", "rttm", "audacity"]


@dataclass(frozen=True, slots=True)
class Format:
    """make: a sink for the recording of this name. suffix: of a file of results. joins: whether one such
    file can hold the results of several recordings.
    """

    make: Callable[[TextIO, str, Sequence[str]], Sink]
    suffix: str
    joins: bool


class _Finals:
    """Base: what becomes of the finals, and of the end."""

    def __init__(self, out: TextIO, recording: str, labels: Sequence[str]) -> None:
        self.out = out
        self.recording = recording
        self.labels = labels

    async def send(self, event: events.ServerEvent) -> None:
        if isinstance(event, events.Emotion) and event.final:
            self.write(event)
        elif isinstance(event, events.Closed):
            self.end(event.totals.audio_ms)

    def write(self, event: events.Emotion) -> None:
        raise NotImplementedError

    def end(self, audio_ms: int) -> None:
        pass


class CsvSink(_Finals):
    """A row a final; the probabilities of each label, and those by sound and by words alone, in columns."""

    def __init__(self, out: TextIO, recording: str, labels: Sequence[str]) -> None:
        super().__init__(out, recording, labels)
        self._rows = csv.writer(out, lineterminator="\n")

    def head(self) -> None:
        """Once a file."""
        columns = [f"{view}_{label}" for view in ("p", "audio", "text") for label in self.labels]
        first = ("file", "utterance", "start_s", "end_s", "reason", "label", "confidence", "uncertain")
        self._rows.writerow([*first, *columns, "language", "text"])

    def write(self, event: events.Emotion) -> None:
        by_text = event.text_only or {}
        self._rows.writerow(
            [
                self.recording,
                event.utterance,
                event.start_ms / 1_000,
                event.end_ms / 1_000,
                event.reason,
                event.label,
                event.confidence,
                ";".join(event.uncertain),
                *(event.probabilities[label] for label in self.labels),
                *(event.audio_only[label] for label in self.labels),
                *(by_text.get(label, "") for label in self.labels),
                event.language or "",
                event.text,
            ]
        )


class SrtSink(_Finals):
    """SubRip subtitles: `[angry 82%] words`."""

    def write(self, event: events.Emotion) -> None:
        span = f"{_clock(event.start_ms, ',')} --> {_clock(event.end_ms, ',')}"
        self.out.write(f"{event.utterance}\n{span}\n{_said(event)}\n\n")


class VttSink(_Finals):
    """WebVTT: the emotion is a class of the cue's first words, for a style sheet."""

    def head(self) -> None:
        """Once a file."""
        self.out.write("WEBVTT\n\n")

    def write(self, event: events.Emotion) -> None:
        span = f"{_clock(event.start_ms, '.')} --> {_clock(event.end_ms, '.')}"
        emotion = f"<c.{event.label}>[{event.label} {event.confidence:.0%}]</c>"
        text = " ".join([emotion, escape(" ".join(event.text.split()), quote=False)]).rstrip()
        self.out.write(f"{event.utterance}\n{span}\n{text}\n\n")


class RttmSink(_Finals):
    """NIST's Rich Transcription Time Marked: a turn a final, whose speaker is the emotion."""

    def write(self, event: events.Emotion) -> None:
        name = "_".join(self.recording.split()) or "_"
        start, length = event.start_ms / 1_000, (event.end_ms - event.start_ms) / 1_000
        self.out.write(
            f"SPEAKER {name} 1 {start:.3f} {length:.3f} <NA> <NA> {event.label} {event.confidence:.6f} <NA>\n"
        )


class AudacitySink(_Finals):
    """A label track."""

    def write(self, event: events.Emotion) -> None:
        start, end = event.start_ms / 1_000, event.end_ms / 1_000
        self.out.write(f"{start:.6f}\t{end:.6f}\t{_said(event)}\n")


@dataclass(frozen=True, slots=True)
class _Interval:
    start_ms: int
    end_ms: int
    text: str


class TextGridSink(_Finals):
    """Praat: a tier of emotions, one of confidences, one of utterances and one of words. Written at the
    end, since the file says first how much there is.
    """

    _TIERS: Final = ("emotion", "confidence", "utterance", "word")

    def __init__(self, out: TextIO, recording: str, labels: Sequence[str]) -> None:
        super().__init__(out, recording, labels)
        self._tiers: dict[str, list[_Interval]] = {tier: [] for tier in self._TIERS}

    def write(self, event: events.Emotion) -> None:
        span = event.start_ms, event.end_ms
        self._tiers["emotion"].append(_Interval(*span, event.label))
        self._tiers["confidence"].append(_Interval(*span, f"{event.confidence:.2f}"))
        self._tiers["utterance"].append(_Interval(*span, event.text))
        self._tiers["word"] += [_Interval(word.start_ms, word.end_ms, word.text) for word in event.words]

    def end(self, audio_ms: int) -> None:
        last_ms = max([audio_ms, 1, *(one.end_ms for tier in self._tiers.values() for one in tier)])
        self.out.write('File type = "ooTextFile"\nObject class = "TextGrid"\n\n')
        self.out.write(f"xmin = 0\nxmax = {last_ms / 1_000}\ntiers? <exists>\nsize = {len(self._tiers)}\n")
        self.out.write("item []:\n")
        for number, (name, found) in enumerate(self._tiers.items(), 1):
            intervals = _without_holes(found, last_ms)
            self.out.write(
                f'    item [{number}]:\n        class = "IntervalTier"\n        name = "{name}"\n'
                f"        xmin = 0\n        xmax = {last_ms / 1_000}\n"
                f"        intervals: size = {len(intervals)}\n"
            )
            for place, one in enumerate(intervals, 1):
                text = one.text.replace('"', '""')
                self.out.write(
                    f"        intervals [{place}]:\n            xmin = {one.start_ms / 1_000}\n"
                    f'            xmax = {one.end_ms / 1_000}\n            text = "{text}"\n'
                )


def _without_holes(found: Sequence[_Interval], last_ms: int) -> list[_Interval]:
    """A tier covers all of the time, and its intervals do not overlap: what overlaps begins later."""
    out: list[_Interval] = []
    position = 0
    for one in found:
        start_ms, end_ms = max(one.start_ms, position), min(one.end_ms, last_ms)
        if end_ms <= start_ms:
            continue
        if start_ms > position:
            out.append(_Interval(position, start_ms, ""))
        out.append(_Interval(start_ms, end_ms, one.text))
        position = end_ms
    if position < last_ms:
        out.append(_Interval(position, last_ms, ""))
    return out


def _said(event: events.Emotion) -> str:
    """On one line."""
    return f"[{event.label} {event.confidence:.0%}] {' '.join(event.text.split())}".rstrip()


def _clock(ms: int, point: str) -> str:
    """75_300 -> 00:01:15,300."""
    minutes, rest = divmod(ms, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{rest // 1_000:02d}{point}{rest % 1_000:03d}"


def _json_lines(out: TextIO, recording: str, labels: Sequence[str]) -> Sink:
    return JsonLinesSink(out)


FORMATS: Final[dict[FormatName, Format]] = {
    "jsonl": Format(_json_lines, ".jsonl", joins=True),
    "csv": Format(CsvSink, ".csv", joins=True),
    "srt": Format(SrtSink, ".srt", joins=False),
    "vtt": Format(VttSink, ".vtt", joins=False),
    "textgrid": Format(TextGridSink, ".TextGrid", joins=False),
    "rttm": Format(RttmSink, ".rttm", joins=True),
    "audacity": Format(AudacitySink, ".txt", joins=False),
}
assert set(FORMATS) == set(get_args(FormatName))
