"""Output files, read by independent libraries:
pysrt, webvtt-py, praatio, pympi, pyannote, pandas, pyarrow."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pandas
import pyarrow.parquet
import pympi
import pysrt
import pytest
import webvtt
from praatio import textgrid
from pyannote.database.util import load_rttm

from emostream.models import LABELS
from emostream.streamer.output.format_names import FormatName
from emostream.streamer.output.formats import FORMATS
from emostream.streamer.protocol import messages
from tests.support.events import emotion_event
from tests.support.programs import json_lines

READ_RTTM: Any = load_rttm
READ_TEXTGRID: Any = textgrid.openTextgrid
READ_EAF: Any = pympi.Eaf
AUDIO_MS = 5_400_000
TEXTS = ["", 'he said "no"', "a < b & c, <i>so</i>", "naïve 你好", "two\nlines", " --> \t"]


def final(number: int, text: str) -> messages.Emotion:
    start_ms = 3_000_000 + 2_500 * number  # after the first 50 minutes, so that hours occur
    event = emotion_event(number, LABELS[number % len(LABELS)])
    words = [
        messages.Word(
            text=word, start_ms=start_ms + 100 * i, end_ms=start_ms + 100 * i + 130, confidence=None
        )
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
        reliable=bool(text),
        baseline_utterances=number if text else None,
        uncertain=() if text else ("no_text", "too_short"),
    )


FINALS = [final(number, text) for number, text in enumerate(TEXTS, 1)]


async def written(
    form: FormatName, path: Path, finals: Sequence[messages.Emotion] = FINALS, name: str = "a b.wav"
) -> Path:
    with path.open("wb") as out, closing(FORMATS[form].begin(out, LABELS, False)) as document:
        sink = document.add(name)
        for event in finals:
            await sink.send(messages.SpeechStarted(utterance=event.utterance, start_ms=event.start_ms))
            provisional = msgspec.structs.replace(event, final=False, reason="speaking", label="sad")
            await sink.send(provisional)
            await sink.send(event)
        totals = messages.Totals(audio_ms=AUDIO_MS, utterances=len(finals), dropped_ms=0)
        await sink.send(messages.Closed(reason="end_of_stream", totals=totals))
    return path


def cue_text(event: messages.Emotion) -> str:
    return f"[{event.label} 70%] {' '.join(event.text.split())}".strip()


async def test_srt(tmp_path: Path) -> None:
    read = pysrt.open(str(await written("srt", tmp_path / "x.srt")))
    assert [(one.index, one.start.ordinal, one.end.ordinal, one.text) for one in read] == [
        (event.utterance, event.start_ms, event.end_ms, cue_text(event)) for event in FINALS
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
    assert read["reliable"].tolist() == [bool(text) for text in TEXTS]
    assert read["baseline_utterances"].tolist() == ["", "2", "3", "4", "5", "6"]
    for label in LABELS:
        assert read[f"p_{label}"].tolist() == [event.probabilities[label] for event in FINALS]


async def test_parquet_equals_the_csv_with_types(tmp_path: Path) -> None:
    table = pyarrow.parquet.read_table(await written("parquet", tmp_path / "x.parquet"))
    csv = pandas.read_csv(await written("csv", tmp_path / "x.csv"), keep_default_na=False)
    assert table.column_names == [*csv.columns, "words"]
    types = {
        **dict.fromkeys(("file", "reason", "label", "language", "text"), "string"),
        **dict.fromkeys(("utterance", "channel", "baseline_utterances"), "int64"),
        "reliable": "bool",
        "uncertain": "list<element: string>",
        "words": "list<element: struct<text: string, start_ms: int64, end_ms: int64, confidence: double>>",
    }
    for column in table.schema:
        assert str(column.type) == types.get(column.name, "double"), column.name
    numbers = ["utterance", "start_s", "end_s", "confidence", *(f"p_{label}" for label in LABELS)]
    for name in ("file", "reason", "label", "text", "reliable", *numbers):
        assert table[name].to_pylist() == csv[name].tolist(), name
    assert [";".join(reasons) for reasons in table["uncertain"].to_pylist()] == csv["uncertain"].tolist()
    by_text = [None if not cell else float(cell) for cell in csv["text_sad"].astype(str)]
    assert table["text_sad"].to_pylist() == by_text
    assert by_text[0] is None
    assert table["language"].null_count == len(FINALS)


async def test_parquet_has_the_words_of_the_json_lines(tmp_path: Path) -> None:
    events = json_lines((await written("jsonl", tmp_path / "x.jsonl")).read_text(encoding="utf-8"))
    finals = [event for event in events if event["type"] == "emotion" and event["final"]]
    read = pandas.read_parquet(await written("parquet", tmp_path / "x.parquet"))
    assert [list(words) for words in read["words"]] == [event["words"] for event in finals]
    assert [list(reasons) for reasons in read["uncertain"]] == [event["uncertain"] for event in finals]
    assert sum(map(len, read["words"])) > 10
    assert read["text_angry"].isna().tolist() == [event["text_only"] is None for event in finals]


async def test_parquet_is_written_incrementally() -> None:
    """A long replay is not kept in memory: rows are in the file before it is closed."""
    out = io.BytesIO()
    with closing(FORMATS["parquet"].begin(out, LABELS, True)) as document:
        sinks = [document.add(name) for name in ("a.wav", "b.wav")]
        sizes = []
        for number in range(1, 4_501):
            await sinks[number % 2].send(final(number, "the same words each time"))
            sizes.append(out.tell())
    assert len(set(sizes)) >= 5  # the head, and four groups
    file = pyarrow.parquet.ParquetFile(out)
    assert file.metadata.num_row_groups >= 5
    table = file.read()
    assert table["utterance"].to_pylist() == list(range(1, 4_501))
    assert table["file"].to_pylist() == ["b.wav", "a.wav"] * 2_250


async def test_audacity(tmp_path: Path) -> None:
    """The format of Audacity's manual, since no library reads it: start, end and label with tabs between."""
    text = (await written("audacity", tmp_path / "x.txt")).read_text(encoding="utf-8")
    rows = [line.split("\t") for line in text.splitlines()]
    assert [(float(start), float(end), label) for start, end, label in rows] == [
        (event.start_ms / 1_000, event.end_ms / 1_000, cue_text(event)) for event in FINALS
    ]


async def test_elan(tmp_path: Path) -> None:
    read = READ_EAF(str(await written("elan", tmp_path / "x.eaf")))
    assert list(read.get_tier_names()) == ["emotion", "confidence", "utterance", "word"]
    spans = [(event.start_ms, event.end_ms) for event in FINALS]
    for tier, values in (
        ("emotion", [event.label for event in FINALS]),
        ("confidence", ["0.70"] * len(FINALS)),
        ("utterance", [event.text for event in FINALS]),
    ):
        rows = sorted(read.get_annotation_data_for_tier(tier))
        assert [row[:2] for row in rows] == spans
        assert [row[2] or "" for row in rows] == values
    words = sorted(read.get_annotation_data_for_tier("word"))
    assert [row[2] for row in words] == [word.text for event in FINALS for word in event.words]
    assert all(before[1] <= after[0] for before, after in pairwise(words))
    assert read.get_linked_files()[0]["RELATIVE_MEDIA_URL"] == "./a%20b.wav"


async def test_elan_leaves_out_what_xml_cannot_hold(tmp_path: Path) -> None:
    path = await written("elan", tmp_path / "x.eaf", [final(1, "a\x00\x1bb <c> & d")])
    ((_, _, text),) = READ_EAF(str(path)).get_annotation_data_for_tier("utterance")
    assert text == "ab <c> & d"


@pytest.mark.parametrize("form", ["textgrid", "elan"])
async def test_each_channel_has_tiers_of_its_own(form: FormatName, tmp_path: Path) -> None:
    """Two people who speak at once, which one tier cannot hold."""
    finals = [msgspec.structs.replace(final(1, "hello"), channel=channel) for channel in (2, 1)]
    path = str(await written(form, tmp_path / "x", finals))
    names = READ_EAF(path).get_tier_names() if form == "elan" else READ_TEXTGRID(path, False).tierNames
    kinds = ("emotion", "confidence", "utterance", "word")
    assert list(names) == [f"channel {channel} {kind}" for channel in (1, 2) for kind in kinds]


async def test_label_studio(tmp_path: Path) -> None:
    """By its documented task format; ids join an utterance's label and its words to one region."""
    finals = [*FINALS, msgspec.structs.replace(final(1, "two"), channel=2)]
    (task,) = json.loads((await written("labelstudio", tmp_path / "x.json", finals)).read_text("utf-8"))
    assert task["data"] == {"audio": "a b.wav"}
    (prediction,) = task["predictions"]
    assert prediction["score"] == pytest.approx(0.7)
    labels = [result for result in prediction["result"] if result["type"] == "labels"]
    assert [result["value"]["labels"] for result in labels] == [[event.label] for event in finals]
    assert [(r["value"]["start"], r["value"]["end"]) for r in labels] == [
        (event.start_ms / 1_000, event.end_ms / 1_000) for event in finals
    ]
    assert [result["value"]["channel"] for result in labels] == [0] * len(FINALS) + [1]
    assert len({result["id"] for result in labels}) == len(finals)
    words = {r["id"]: r["value"]["text"] for r in prediction["result"] if r["type"] == "textarea"}
    assert list(words.values()) == [[event.text] for event in finals if event.text]
    assert set(words) <= {result["id"] for result in labels}


async def test_label_studio_has_a_task_for_each_recording() -> None:
    """Of sessions that did not end as well."""
    tasks = json.loads(await together("labelstudio"))
    assert [task["data"]["audio"] for task in tasks] == ["a.wav", "b.wav"]
    assert all(len(task["predictions"][0]["result"]) >= 1 for task in tasks)


async def test_json_lines(tmp_path: Path) -> None:
    lines = (await written("jsonl", tmp_path / "x.jsonl")).read_text(encoding="utf-8").splitlines()
    read = [messages.decode_server_message(line) for line in lines]
    assert [one for one in read if isinstance(one, messages.Emotion) and one.final] == FINALS


@pytest.mark.parametrize("form", sorted(FORMATS))
async def test_a_recording_without_speech_is_a_valid_file(form: FormatName, tmp_path: Path) -> None:
    path = await written(form, tmp_path / "x", [])
    readers: dict[str, Any] = {
        "srt": lambda: pysrt.open(str(path)),
        "vtt": lambda: webvtt.read(str(path)),
        "textgrid": lambda: READ_TEXTGRID(str(path), includeEmptyIntervals=False).getTier("word").entries,
        "rttm": lambda: READ_RTTM(str(path)),
        "csv": lambda: pandas.read_csv(path),
        "parquet": lambda: pandas.read_parquet(path),
        "audacity": lambda: path.read_text(),
        "text": lambda: path.read_text(),
        "elan": lambda: READ_EAF(str(path)).get_annotation_data_for_tier("emotion"),
        "labelstudio": lambda: json.loads(path.read_text())[0]["predictions"][0]["result"],
        "jsonl": lambda: path.read_text().splitlines()[1:],
    }
    assert len(readers[form]()) == 0


async def together(form: FormatName) -> str:
    """A final each of two recordings in one file."""
    out = io.BytesIO()
    with closing(FORMATS[form].begin(out, LABELS, True)) as document:
        for name in ("a.wav", "b.wav"):
            await document.add(name).send(FINALS[0])
    return out.getvalue().decode()


async def test_several_recordings_in_one_file_have_one_header() -> None:
    assert pandas.read_csv(io.StringIO(await together("csv")))["file"].tolist() == ["a.wav", "b.wav"]


async def test_rows_of_several_recordings_name_their_recording() -> None:
    assert [line["file"] for line in json_lines(await together("jsonl"))] == ["a.wav", "b.wav"]
    assert (await together("text")).splitlines()[::2] == ["a.wav", "b.wav"]
    assert [line.split()[1] for line in (await together("rttm")).splitlines()] == ["a.wav", "b.wav"]
