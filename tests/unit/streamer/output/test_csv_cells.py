"""Texts that a spreadsheet would compute, in both CSV writers."""

from __future__ import annotations

import csv
import io

import msgspec
import pytest

from emostream.models import LABELS
from emostream.streamer.output.csv_cells import safe_cell, text_of_cell
from emostream.streamer.output.tabular import CsvSink
from emostream.streamer.summary.export import Summary, write_csv
from emostream.streamer.summary.statistics import RecordingSummary
from tests.support.events import emotion_event

FORMULAS = ["=1+1", "+49 30", "-5", "@SUM(A1)", "\tx", "\rx", "\uff1d1", "'=x", "''@x"]
HARMLESS = ["", "'cause", "a=b", " =x", "5-3", "x@y"]


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_gets_a_quote_in_front(text: str) -> None:
    assert safe_cell(text) == f"'{text}"


@pytest.mark.parametrize("text", HARMLESS)
def test_other_texts_stay(text: str) -> None:
    assert safe_cell(text) == text


def test_no_two_texts_become_one() -> None:
    assert len({safe_cell(text) for text in FORMULAS + HARMLESS}) == len(FORMULAS + HARMLESS)
    assert [text_of_cell(safe_cell(text)) for text in FORMULAS + HARMLESS] == FORMULAS + HARMLESS


def test_results_and_summaries_have_no_formula() -> None:
    out = io.StringIO()
    even = dict.fromkeys(LABELS, 0.25)
    event = emotion_event(1, LABELS[0])
    event = msgspec.structs.replace(event, probabilities=even, audio_only=even, text="=1+1")
    CsvSink(out, "=a.wav", LABELS).write(event)
    (row,) = csv.reader(io.StringIO(out.getvalue()))
    assert (row[0], row[-1]) == ("'=a.wav", "'=1+1")
    out = io.StringIO()
    write_csv(Summary([RecordingSummary("@a.wav", "-r.jsonl")]), out)
    _, row = csv.reader(io.StringIO(out.getvalue()))
    assert row[:2] == ["'@a.wav", "'-r.jsonl"]
