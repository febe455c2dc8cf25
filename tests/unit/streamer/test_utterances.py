"""The results of `recognize` as a table."""

from __future__ import annotations

import csv
import io
import sys
from html.parser import HTMLParser
from typing import Any

import msgspec
import pytest

from emostream.models import LABELS
from emostream.streamer.errors import ConfigError
from emostream.streamer.output.tabular import CsvSink, columns, csv_head
from emostream.streamer.protocol import messages
from emostream.streamer.utterances import RecognizedUtterance, Utterances
from tests.support.events import emotion_event

SCORES = dict(zip(LABELS, (0.1, 0.6, 0.1, 0.2), strict=True))


def emotion(utterance: int, text: str = "") -> messages.Emotion:
    event = emotion_event(utterance, "happy")
    return msgspec.structs.replace(event, probabilities=SCORES, audio_only=SCORES, text=text)


def utterances(*events: messages.Emotion) -> Utterances:
    return Utterances((RecognizedUtterance.of(event) for event in events), labels=LABELS)


def test_the_data_frame_has_the_columns_and_the_values_of_the_csv() -> None:
    pandas = pytest.importorskip("pandas")
    events = [emotion(1, text="so happy"), emotion(2, text="")]
    frame = utterances(*events).to_pandas()
    out = io.StringIO(csv_head(LABELS), newline="")
    out.seek(0, io.SEEK_END)
    for event in events:
        CsvSink(out, "a.wav", LABELS).write(event)
    rows = list(csv.DictReader(io.StringIO(out.getvalue())))
    assert set(frame.columns) < set(columns(LABELS))
    for name in ("start_s", "end_s", "confidence", *(f"p_{label}" for label in LABELS)):
        assert frame[name].tolist() == [float(row[name]) for row in rows]
    assert frame["label"].tolist() == [row["label"] for row in rows]
    assert frame["text"].tolist() == [row["text"] for row in rows]
    assert frame["reliable"].dtype == pandas.api.types.pandas_dtype("bool")


def test_without_utterances_the_data_frame_has_its_columns_all_the_same() -> None:
    pytest.importorskip("pandas")
    frame = utterances().to_pandas()
    assert (len(frame), list(frame.columns)) == (0, list(utterances(emotion(1)).to_pandas().columns))


def test_without_pandas_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ConfigError, match=r"expected pandas for to_pandas.*emostream\[notebook\]"):
        utterances(emotion(1)).to_pandas()


class Cells(HTMLParser):
    """The text of a table's cells, by row."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
        else:
            assert tag in ("table", "thead", "tbody"), tag

    def handle_data(self, data: str) -> None:
        self.rows[-1][-1] += data


def test_a_notebook_shows_a_table_and_no_markup_of_the_words() -> None:
    head, row = Cells(utterances(emotion(1, text="<b>no & yes</b>"))._repr_html_()).rows
    assert head == ["time (s)", "emotion", "confidence", "words"]
    assert row[-1] == "<b>no & yes</b>"
