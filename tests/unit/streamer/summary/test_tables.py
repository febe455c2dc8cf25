"""A summary of CSV and Parquet, compared with that of the same results in JSON lines."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path

import msgspec
import pytest

from emostream.models import LABELS
from emostream.streamer.errors import SourceError
from emostream.streamer.output.tabular import CsvSink, ParquetDocument, csv_head
from emostream.streamer.protocol import messages
from emostream.streamer.summary.export import Summary
from emostream.streamer.summary.reader import find_results
from emostream.streamer.summary.statistics import RecordingSummary
from tests.support.result_lines import as_json, as_text, closed, final, read, session, write

SPOKEN = [
    final(1, "sad", 0, 3_000, 0.9, "low_snr", "too_short"),
    final(2, "sad", 3_250, 4_000, 0.5),
    final(4, "angry", 5_000, 6_000, 0.7),  # the third has no result
]
CALL = [
    msgspec.structs.replace(event, channel=channel) for event, channel in zip(SPOKEN, (1, 2, 1), strict=True)
]
RECORDINGS = {"=talk.wav": SPOKEN, "call.wav": CALL}


def complete(event: messages.Emotion) -> messages.Emotion:
    scores = dict.fromkeys(LABELS, 0.0) | event.probabilities
    return msgspec.structs.replace(event, probabilities=scores, audio_only=scores)


def as_csv(path: Path) -> Path:
    text = io.StringIO()
    for name, events in RECORDINGS.items():
        sink = CsvSink(text, name, LABELS)
        for event in events:
            sink.write(complete(event))
    path.write_text(csv_head(LABELS) + text.getvalue(), encoding="utf-8")
    return path


def as_parquet(path: Path) -> Path:
    async def fill(document: ParquetDocument) -> None:
        for name, events in RECORDINGS.items():
            sink = document.add(name)
            for event in events:
                await sink.send(complete(event))

    with path.open("wb") as out:
        document = ParquetDocument(out, LABELS)
        asyncio.run(fill(document))
        document.close()
    return path


def summary_of(*places: Path) -> list[RecordingSummary]:
    found, missing = find_results(places)
    assert missing == []
    return [recording for file in found for recording in file.read()]


@pytest.mark.parametrize("make", [as_csv, as_parquet])
def test_a_table_has_the_summary_of_its_json_lines(make: type, tmp_path: Path) -> None:
    path = make(tmp_path / f"results.{make.__name__.removeprefix('as_')}")
    lines = [line for name, events in RECORDINGS.items() for line in session(*events, file=name)]
    found, expected = as_json(Summary(summary_of(path))), as_json(Summary(read(lines)))
    for row in (*found["files"], *expected["files"]):
        del row["results"], row["state"]
    names = [(row["file"], row["channel"]) for row in found["files"]]
    assert names == [("=talk.wav", None), ("call.wav", 1), ("call.wav", 2)]
    assert found == expected


def test_the_text_says_that_the_length_is_not_known(tmp_path: Path) -> None:
    text = as_text(Summary(summary_of(as_csv(tmp_path / "a.csv"))))
    assert "2 without the recording's length" in " ".join(text.split())
    assert "incomplete" not in text


def test_in_a_folder_tables_are_read_where_there_are_no_json_lines(tmp_path: Path) -> None:
    as_csv(tmp_path / "a.csv")
    assert len(summary_of(tmp_path)) == 3
    write(tmp_path / "a.jsonl", session(*SPOKEN, closed(9_000)))
    assert [recording.state for recording in summary_of(tmp_path)] == ["complete"]


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"path,emotion\na.wav,sad\n", "none named file, utterance, start_s, end_s, label, confidence"),
        (b"file,utterance,start_s,end_s,label,confidence\n", "got none"),
        (b"file,utterance,start_s,end_s,label,confidence\na,1,0,x,sad,1\n", "row 1"),
        (b"file,utterance,start_s,end_s,label,confidence\na,1,2,1,sad,1\n", "ends before it starts"),
        (b'file,utterance,start_s,end_s,label,confidence\n"a', "expected a table"),
        (b"\xff\xfe\x00", "expected a table"),
    ],
)
def test_a_table_of_something_else_is_named(content: bytes, named: str, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=named):
        summary_of(path)


def test_what_is_no_parquet_is_named(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    path.write_bytes(b"PAR1 nothing PAR1")
    with pytest.raises(SourceError, match="expected a table"):
        summary_of(path)
