"""Results are what other programs' own readers read: pysrt, webvtt-py, praatio, pyannote, pandas."""

from __future__ import annotations

import io
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pandas
import pysrt
import pytest
import webvtt
from praatio import textgrid
from pyannote.database.util import load_rttm

from emostream.models import LABELS
from emostream.streamer import events
from emostream.streamer.formats import FORMATS, FormatName
from emostream.streamer.replaying import begin

from .test_examples import judged

READ_RTTM: Any = load_rttm
READ_TEXTGRID: Any = textgrid.openTextgrid
AUDIO_MS = 5_400_000
TEXTS = ["", 'he said "no"', "a < b & c, <i>so</i>", "naïve 你好", "two\nlines", " --> \t"]


def final(number: int, text: str) -> events.Emotion:
    start_ms = 3_000_000 + 2_500 * number  # behind the first 50 minutes, for the hours
    event = judged(number, LABELS[number % len(LABELS)])
    words = [
        events.Word(text=word, start_ms=start_ms + 100 * i, end_ms=start_ms + 100 * i + 130, p=None)
        for i, word in enumerate(text.split())
    ]
    share = dict.fromkeys(LABELS, 0.1) | {event.label: 0.7}
    return msgspec.structs.replace(
        event,
        start_ms=start_ms,
        end_ms=start_ms + 1_234,
        text=text,
        words=tuple(words),
        confidence=0.7,
        probabilities=share,
        audio_only=share,
        text_only=share if text else None,
        uncertain=() if text else ("no_text", "too_short"),
    )


FINALS = [final(number, text) for number, text in enumerate(TEXTS, 1)]


async def written(
    form: FormatName, path: Path, finals: Sequence[events.Emotion] = FINALS, name: str = "a b.wav"
) -> Path:
    with path.open("w", encoding="utf-8", newline="") as out:
        sink = begin(form, out, name, LABELS)
        for event in finals:
            await sink.send(events.SpeechStarted(utterance=event.utterance, start_ms=event.start_ms))
            provisional = msgspec.structs.replace(event, final=False, reason="speaking", label="sad")
            await sink.send(provisional)
            await sink.send(event)
        totals = events.Totals(audio_ms=AUDIO_MS, utterances=len(finals), dropped_ms=0)
        await sink.send(events.Closed(reason="end_of_stream", totals=totals))
    return path


def said(event: events.Emotion) -> str:
    return f"[{event.label} 70%] {' '.join(event.text.split())}".strip()


async def test_srt(tmp_path: Path) -> None:
    read = pysrt.open(str(await written("srt", tmp_path / "x.srt")))
    assert [(one.index, one.start.ordinal, one.end.ordinal, one.text) for one in read] == [
        (event.utterance, event.start_ms, event.end_ms, said(event)) for event in FINALS
    ]


async def test_webvtt(tmp_path: Path) -> None:
    read: Any = webvtt.read(str(await written("vtt", tmp_path / "x.vtt")))
    assert [(one.identifier, one.start_in_seconds, one.end_in_seconds) for one in read] == [
        (str(event.utterance), event.start_ms // 1_000, event.end_ms // 1_000) for event in FINALS
    ]
    raw = [one.raw_text for one in read]
    assert [text.startswith(f"<c.{event.label}>") for text, event in zip(raw, FINALS, strict=True)] == [
        True
    ] * 6
    assert raw[2] == "<c.neutral>[neutral 70%]</c> a &lt; b &amp; c, &lt;i&gt;so&lt;/i&gt;"
    assert "-->" not in raw[5]  # the standard: a cue's text never holds the arrow


async def test_textgrid(tmp_path: Path) -> None:
    path = str(await written("textgrid", tmp_path / "x.TextGrid"))
    read = READ_TEXTGRID(path, includeEmptyIntervals=False)
    assert read.tierNames == ("emotion", "confidence", "utterance", "word")
    assert read.maxTimestamp == AUDIO_MS / 1_000
    spans = [(event.start_ms / 1_000, event.end_ms / 1_000) for event in FINALS]
    emotions = read.getTier("emotion").entries
    assert [(one.start, one.end) for one in emotions] == spans
    assert [one.label for one in emotions] == [event.label for event in FINALS]
    assert [one.label for one in read.getTier("utterance").entries] == [
        event.text.strip() for event in FINALS if event.text.strip()
    ]
    words = read.getTier("word").entries
    assert [one.label for one in words] == [word.text for event in FINALS for word in event.words]
    # Words overlap by 30 ms: in Praat, where they may not, the later one begins where the earlier one ends.
    assert all(before.end <= after.start for before, after in pairwise(words))
    whole = READ_TEXTGRID(path, includeEmptyIntervals=True)
    for tier in whole.tiers:
        edges = [(one.start, one.end) for one in tier.entries]
        assert [start for start, _ in edges] == [0.0, *(end for _, end in edges[:-1])]
        assert edges[-1][1] == AUDIO_MS / 1_000


async def test_rttm(tmp_path: Path) -> None:
    read = READ_RTTM(str(await written("rttm", tmp_path / "x.rttm")))
    assert list(read) == ["a_b.wav"]
    turns = [
        (segment.start, segment.end, label)
        for segment, _, label in read["a_b.wav"].itertracks(yield_label=True)
    ]
    assert turns == [
        (pytest.approx(event.start_ms / 1_000), pytest.approx(event.end_ms / 1_000), event.label)
        for event in FINALS
    ]


async def test_csv(tmp_path: Path) -> None:
    read = pandas.read_csv(await written("csv", tmp_path / "x.csv"), keep_default_na=False)
    assert read["file"].tolist() == ["a b.wav"] * 6
    assert read["label"].tolist() == [event.label for event in FINALS]
    assert read["text"].tolist() == TEXTS
    assert read["start_s"].tolist() == [event.start_ms / 1_000 for event in FINALS]
    assert read["uncertain"].tolist()[:2] == ["no_text;too_short", ""]
    assert read["text_angry"].tolist()[0] == ""
    for label in LABELS:
        assert read[f"p_{label}"].tolist() == [event.probabilities[label] for event in FINALS]


async def test_audacity(tmp_path: Path) -> None:
    """There is no reader but Audacity: its manual's format, a tab between start, end and label."""
    text = (await written("audacity", tmp_path / "x.txt")).read_text(encoding="utf-8")
    rows = [line.split("\t") for line in text.splitlines()]
    assert [(float(start), float(end), label) for start, end, label in rows] == [
        (event.start_ms / 1_000, event.end_ms / 1_000, said(event)) for event in FINALS
    ]


async def test_json_lines(tmp_path: Path) -> None:
    lines = (await written("jsonl", tmp_path / "x.jsonl")).read_text(encoding="utf-8").splitlines()
    read = [events.decode_server(line) for line in lines]
    assert [one for one in read if isinstance(one, events.Emotion) and one.final] == FINALS


@pytest.mark.parametrize("form", sorted(FORMATS))
async def test_a_recording_without_speech_is_a_valid_file(form: FormatName, tmp_path: Path) -> None:
    path = await written(form, tmp_path / "x", [])
    readers: dict[str, Any] = {
        "srt": lambda: pysrt.open(str(path)),
        "vtt": lambda: webvtt.read(str(path)),
        "textgrid": lambda: READ_TEXTGRID(str(path), includeEmptyIntervals=False).getTier("word").entries,
        "rttm": lambda: READ_RTTM(str(path)),
        "csv": lambda: pandas.read_csv(path),
        "audacity": lambda: path.read_text(),
        "jsonl": lambda: path.read_text().splitlines()[1:],
    }
    assert len(readers[form]()) == 0


async def test_several_recordings_in_one_file_have_one_head() -> None:
    out = io.StringIO()
    first = begin("csv", out, "a.wav", LABELS)
    second = FORMATS["csv"].make(out, "b.wav", LABELS)
    for sink in (first, second):
        await sink.send(FINALS[0])
    out.seek(0)
    assert pandas.read_csv(out)["file"].tolist() == ["a.wav", "b.wav"]
