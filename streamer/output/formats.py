"""Results in the formats that other programs read: events in, files out.

SRT and WebVTT are for players, TextGrid for Praat, EAF for ELAN, RTTM for diarization tools, a label track
for Audacity, tasks for Label Studio, CSV and Parquet for data analysis: these hold final results only. Times
are relative to the recording's start.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import BinaryIO, Final, TextIO, get_args

from rich.console import Console

from ..pipeline.session import Sink
from ..protocol import messages
from .annotation import TIERS, ElanSink, LabelStudioDocument, tier_name
from .document import Document, FinalsSink, TextDocument
from .format_names import FormatName
from .sinks import ConsoleSink, JsonLinesSink
from .tabular import CsvSink, ParquetDocument, csv_head, require_pyarrow


class _Console(Console):
    """Raises on a broken pipe; rich's own console would exit the program at once."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError(errno.EPIPE, "the reader has closed the pipe")


@dataclass(frozen=True, slots=True)
class Format:
    """An output format.

    begin: makes a document from the open file, the labels, and whether it holds several recordings. suffix:
    of file names. joins: whether one file can hold several recordings. binary: whether it cannot be printed
    to a terminal. require: raises ConfigError if the package that writes it is not installed.
    """

    begin: Callable[[BinaryIO, Sequence[str], bool], Document]
    suffix: str
    joins: bool = False
    binary: bool = False
    require: Callable[[], None] = lambda: None


class _TextSink(FinalsSink):
    """Base class of sinks that write text."""

    def __init__(self, out: TextIO, recording: str, labels: Sequence[str]) -> None:
        self.out = out
        self.recording = recording


class SrtSink(_TextSink):
    """SubRip subtitles: `[angry 82%] words`."""

    def write(self, event: messages.Emotion) -> None:
        span = f"{_clock(event.start_ms, ',')} --> {_clock(event.end_ms, ',')}"
        self.out.write(f"{event.utterance}\n{span}\n{_spoken(event)}\n\n")


class VttSink(_TextSink):
    """WebVTT: the emotion is a class of the cue's first words, for style sheets; a channel is the voice."""

    def write(self, event: messages.Emotion) -> None:
        span = f"{_clock(event.start_ms, '.')} --> {_clock(event.end_ms, '.')}"
        emotion = f"<c.{event.label}>[{event.label} {event.confidence:.0%}]</c>"
        text = " ".join([emotion, escape(" ".join(event.text.split()), quote=False)]).rstrip()
        voice = "" if event.channel is None else f"<v {_speaker(event.channel)}>"
        self.out.write(f"{event.utterance}\n{span}\n{voice}{text}\n\n")


class RttmSink(_TextSink):
    """NIST's Rich Transcription Time Marked: one turn per final, with the emotion as the speaker. With
    several channels the channel is the speaker, and the emotion the subtype.
    """

    def write(self, event: messages.Emotion) -> None:
        name = "_".join(self.recording.split()) or "_"
        start, length = event.start_ms / 1_000, (event.end_ms - event.start_ms) / 1_000
        subtype, speaker = "<NA>", event.label
        if event.channel is not None:
            subtype, speaker = event.label, f"channel_{event.channel}"
        self.out.write(
            f"SPEAKER {name} {event.channel or 1} {start:.3f} {length:.3f} <NA> {subtype} {speaker} "
            f"{event.confidence:.6f} <NA>\n"
        )


class AudacitySink(_TextSink):
    """A label track of Audacity: start, end (s) and label, separated by tabs."""

    def write(self, event: messages.Emotion) -> None:
        start, end = event.start_ms / 1_000, event.end_ms / 1_000
        self.out.write(f"{start:.6f}\t{end:.6f}\t{_spoken(event)}\n")


@dataclass(frozen=True, slots=True)
class _Interval:
    start_ms: int
    end_ms: int
    text: str


class TextGridSink(_TextSink):
    """Praat: tiers of emotions, confidences, utterances and words, of each channel. Written at the end, since
    the file begins with its duration and sizes.
    """

    def __init__(self, out: TextIO, recording: str, labels: Sequence[str]) -> None:
        super().__init__(out, recording, labels)
        self._channels: dict[int | None, dict[str, list[_Interval]]] = {}

    def write(self, event: messages.Emotion) -> None:
        span = event.start_ms, event.end_ms
        tiers = self._channels.setdefault(event.channel, {tier: [] for tier in TIERS})
        tiers["emotion"].append(_Interval(*span, event.label))
        tiers["confidence"].append(_Interval(*span, f"{event.confidence:.2f}"))
        tiers["utterance"].append(_Interval(*span, event.text))
        tiers["word"] += [_Interval(word.start_ms, word.end_ms, word.text) for word in event.words]

    def _named_tiers(self) -> dict[str, list[_Interval]]:
        if not self._channels:
            return {tier: [] for tier in TIERS}
        return {
            tier_name(tier, channel): intervals
            for channel, tiers in sorted(self._channels.items(), key=lambda item: item[0] or 0)
            for tier, intervals in tiers.items()
        }

    def end(self, audio_ms: int) -> None:
        named = self._named_tiers()
        last_ms = max([audio_ms, 1, *(interval.end_ms for tier in named.values() for interval in tier)])
        self.out.write('File type = "ooTextFile"\nObject class = "TextGrid"\n\n')
        self.out.write(f"xmin = 0\nxmax = {last_ms / 1_000}\ntiers? <exists>\nsize = {len(named)}\n")
        self.out.write("item []:\n")
        for number, (name, intervals) in enumerate(named.items(), 1):
            filled = _without_holes(intervals, last_ms)
            self.out.write(
                f'    item [{number}]:\n        class = "IntervalTier"\n        name = "{name}"\n'
                f"        xmin = 0\n        xmax = {last_ms / 1_000}\n"
                f"        intervals: size = {len(filled)}\n"
            )
            for place, interval in enumerate(filled, 1):
                text = interval.text.replace('"', '""')
                self.out.write(
                    f"        intervals [{place}]:\n            xmin = {interval.start_ms / 1_000}\n"
                    f'            xmax = {interval.end_ms / 1_000}\n            text = "{text}"\n'
                )


def _without_holes(intervals: Sequence[_Interval], last_ms: int) -> list[_Interval]:
    """A tier covers the whole duration without overlaps: an interval that overlaps the one before is cut."""
    filled: list[_Interval] = []
    position = 0
    for interval in intervals:
        start_ms, end_ms = max(interval.start_ms, position), min(interval.end_ms, last_ms)
        if end_ms <= start_ms:
            continue
        if start_ms > position:
            filled.append(_Interval(position, start_ms, ""))
        filled.append(_Interval(start_ms, end_ms, interval.text))
        position = end_ms
    if position < last_ms:
        filled.append(_Interval(position, last_ms, ""))
    return filled


def _speaker(channel: int) -> str:
    """For people."""
    return f"Channel {channel}"


def _spoken(event: messages.Emotion) -> str:
    """`[angry 82%] words`, after the speaker where there are several channels."""
    text = _labelled_text(event)
    return text if event.channel is None else f"{_speaker(event.channel)}: {text}"


def _labelled_text(event: messages.Emotion) -> str:
    """`[angry 82%] words`, on one line."""
    return f"[{event.label} {event.confidence:.0%}] {' '.join(event.text.split())}".rstrip()


def _clock(ms: int, point: str) -> str:
    """75_300 -> 00:01:15,300."""
    minutes, rest = divmod(ms, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{rest // 1_000:02d}{point}{rest % 1_000:03d}"


def _json_lines(out: BinaryIO, labels: Sequence[str], several: bool) -> Document:
    return TextDocument(out, "", lambda text, name: JsonLinesSink(text, file=name if several else None))


def _readable(out: BinaryIO, labels: Sequence[str], several: bool) -> Document:
    def sink(text: TextIO, name: str) -> Sink:
        if several:
            text.write(f"{name}\n")
        return ConsoleSink(_Console(file=text))

    return TextDocument(out, "", sink)


def _parquet(out: BinaryIO, labels: Sequence[str], several: bool) -> Document:
    return ParquetDocument(out, labels)


def _label_studio(out: BinaryIO, labels: Sequence[str], several: bool) -> Document:
    return LabelStudioDocument(out)


def _text(
    sink: Callable[[TextIO, str, Sequence[str]], Sink],
    head: Callable[[Sequence[str]], str] = lambda labels: "",
) -> Callable[[BinaryIO, Sequence[str], bool], Document]:
    def begin(out: BinaryIO, labels: Sequence[str], several: bool) -> Document:
        return TextDocument(out, head(labels), lambda text, name: sink(text, name, labels))

    return begin


FORMATS: Final[dict[FormatName, Format]] = {
    "jsonl": Format(_json_lines, ".jsonl", joins=True),
    "text": Format(_readable, ".txt", joins=True),
    "csv": Format(_text(CsvSink, csv_head), ".csv", joins=True),
    "parquet": Format(_parquet, ".parquet", joins=True, binary=True, require=require_pyarrow),
    "srt": Format(_text(SrtSink), ".srt"),
    "vtt": Format(_text(VttSink, lambda labels: "WEBVTT\n\n"), ".vtt"),
    "textgrid": Format(_text(TextGridSink), ".TextGrid"),
    "elan": Format(_text(ElanSink), ".eaf"),
    "rttm": Format(_text(RttmSink), ".rttm", joins=True),
    "audacity": Format(_text(AudacitySink), ".txt"),
    "labelstudio": Format(_label_studio, ".json", joins=True),
}
assert set(FORMATS) == set(get_args(FormatName))
