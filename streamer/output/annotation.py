"""Results for annotation tools: ELAN's tiers, and tasks of Label Studio with predictions.

ELAN: the EAF 3.0 schema (https://www.mpi.nl/tools/elan/EAFv3.0.xsd). Label Studio: its task format and the
results of the tags Labels and TextArea (https://labelstud.io/guide/predictions).
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from io import TextIOWrapper
from pathlib import PurePath
from typing import Any, BinaryIO, Final, TextIO
from urllib.parse import quote
from xml.sax.saxutils import escape, quoteattr

from ..pipeline.session import Sink
from ..protocol import messages
from .document import FinalsSink

TIERS: Final = ("emotion", "confidence", "utterance", "word")
"""Of an annotation by intervals, for each channel."""

_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 has no way to write."""
_EAF: Final = """<?xml version="1.0" encoding="UTF-8"?>
<ANNOTATION_DOCUMENT AUTHOR="emostream" DATE="1970-01-01T00:00:00+00:00" FORMAT="3.0" VERSION="3.0"
    xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
    xsi:noNamespaceSchemaLocation="http://www.mpi.nl/tools/elan/EAFv3.0.xsd">
"""
_TYPE: Final = (
    '  <LINGUISTIC_TYPE GRAPHIC_REFERENCES="false" LINGUISTIC_TYPE_ID="default-lt" TIME_ALIGNABLE="true"/>\n'
)


def tier_name(tier: str, channel: int | None) -> str:
    """The same in all formats with tiers."""
    return tier if channel is None else f"channel {channel} {tier}"


class ElanSink(FinalsSink):
    """Tiers of emotions, confidences, utterances and words, of each channel. Written at the end: the times
    of all annotations come first. The date is a constant, so that the same recording gives the same file.
    """

    def __init__(self, out: TextIO, recording: str, labels: Sequence[str]) -> None:
        self._out = out
        self._recording = recording
        self._tiers: dict[int | None, dict[str, list[tuple[int, int, str]]]] = {}

    def write(self, event: messages.Emotion) -> None:
        span = event.start_ms, event.end_ms
        tiers = self._tiers.setdefault(event.channel, {tier: [] for tier in TIERS})
        tiers["emotion"].append((*span, event.label))
        tiers["confidence"].append((*span, f"{event.confidence:.2f}"))
        tiers["utterance"].append((*span, event.text))
        tiers["word"] += [(word.start_ms, word.end_ms, word.text) for word in event.words]

    def end(self, audio_ms: int) -> None:
        channels = self._tiers or {None: {tier: [] for tier in TIERS}}
        named = {
            tier_name(tier, channel): _in_turn(intervals)
            for channel, tiers in sorted(channels.items(), key=lambda item: item[0] or 0)
            for tier, intervals in tiers.items()
        }
        times = [ms for intervals in named.values() for start, end, _ in intervals for ms in (start, end)]
        self._out.write(_EAF)
        self._out.write(f'  <HEADER MEDIA_FILE="" TIME_UNITS="milliseconds">\n{self._media()}  </HEADER>\n')
        self._out.write("  <TIME_ORDER>\n")
        for number, ms in enumerate(times, 1):
            self._out.write(f'    <TIME_SLOT TIME_SLOT_ID="ts{number}" TIME_VALUE="{ms}"/>\n')
        self._out.write("  </TIME_ORDER>\n")
        done = 0
        for name, intervals in named.items():
            self._out.write(f'  <TIER LINGUISTIC_TYPE_REF="default-lt" TIER_ID={quoteattr(name)}>\n')
            for number, (_, _, text) in enumerate(intervals, done + 1):
                self._out.write(_annotation(number, text))
            done += len(intervals)
            self._out.write("  </TIER>\n")
        self._out.write(f"{_TYPE}</ANNOTATION_DOCUMENT>\n")

    def _media(self) -> str:
        """Beside the results; ELAN asks for the recording where it is elsewhere."""
        name = quote(PurePath(self._recording).name)
        suffix = PurePath(self._recording).suffix.lower()
        kind = "audio/x-wav" if suffix == ".wav" else "unknown"
        return (
            f'    <MEDIA_DESCRIPTOR MEDIA_URL={quoteattr(f"file:{name}")} MIME_TYPE="{kind}" '
            f"RELATIVE_MEDIA_URL={quoteattr(f'./{name}')}/>\n"
        )


def _in_turn(intervals: Sequence[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
    """On a tier nothing may overlap: an interval that overlaps the one before is cut, one without length left
    out.
    """
    kept: list[tuple[int, int, str]] = []
    for start_ms, end_ms, text in intervals:
        start_ms = max(start_ms, kept[-1][1] if kept else 0)
        if end_ms > start_ms:
            kept.append((start_ms, end_ms, text))
    return kept


def _annotation(number: int, text: str) -> str:
    slots = f'TIME_SLOT_REF1="ts{2 * number - 1}" TIME_SLOT_REF2="ts{2 * number}"'
    value = f"<ANNOTATION_VALUE>{escape(_NOT_XML.sub('', text))}</ANNOTATION_VALUE>"
    annotation = f'<ALIGNABLE_ANNOTATION ANNOTATION_ID="a{number}" {slots}>{value}</ALIGNABLE_ANNOTATION>'
    return f"    <ANNOTATION>{annotation}</ANNOTATION>\n"


class LabelStudioDocument:
    """A list of tasks, one for each recording, each with what was recognized as its prediction.

    For a project of `docs/recordings.md`'s labelling interface. A recording whose session did not end has its
    results so far.
    """

    def __init__(self, out: BinaryIO) -> None:
        self._text = TextIOWrapper(out, encoding="utf-8", newline="")
        self._text.write("[")
        self._tasks = 0
        self._unfinished: list[_TaskSink] = []

    def add(self, recording: str) -> Sink:
        sink = _TaskSink(recording, self)
        self._unfinished.append(sink)
        return sink

    def finish(self, sink: _TaskSink) -> None:
        if sink not in self._unfinished:
            return
        self._unfinished.remove(sink)
        self._text.write(f"{',' if self._tasks else ''}\n{json.dumps(sink.task(), ensure_ascii=False)}")
        self._text.flush()
        self._tasks += 1

    def close(self) -> None:
        for sink in list(self._unfinished):
            self.finish(sink)
        self._text.write("\n]\n")
        self._text.flush()
        self._text.detach()


class _TaskSink(FinalsSink):
    def __init__(self, recording: str, document: LabelStudioDocument) -> None:
        self._recording = recording
        self._document = document
        self._results: list[dict[str, Any]] = []
        self._confidences: list[float] = []

    def write(self, event: messages.Emotion) -> None:
        # Label Studio counts channels from 0.
        span = {
            "start": event.start_ms / 1_000,
            "end": event.end_ms / 1_000,
            "channel": (event.channel or 1) - 1,
        }
        region = f"u{event.utterance}" if event.channel is None else f"c{event.channel}u{event.utterance}"
        common = {"id": region, "to_name": "audio"}
        self._results.append(
            {
                **common,
                "from_name": "emotion",
                "type": "labels",
                "value": {**span, "labels": [event.label]},
                "score": event.confidence,
            }
        )
        if event.text:
            words = {**span, "text": [event.text]}
            self._results.append({**common, "from_name": "words", "type": "textarea", "value": words})
        self._confidences.append(event.confidence)

    def end(self, audio_ms: int) -> None:
        self._document.finish(self)

    def task(self) -> dict[str, Any]:
        confidences = self._confidences
        score = sum(confidences) / len(confidences) if confidences else 0.0
        prediction = {"model_version": "emostream", "score": score, "result": self._results}
        return {"data": {"audio": self._recording}, "predictions": [prediction]}
