"""A session as files: what the page exports is what the program writes for the same events."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pandas
import pytest
import webvtt

from emostream.models import LABELS
from emostream.streamer.output.csv_cells import safe_cell
from emostream.streamer.output.format_names import FormatName
from emostream.streamer.output.formats import FORMATS
from emostream.streamer.protocol import messages
from tests.support.node import evaluate, needs_node
from tests.support.recorded_session import FILL_LOG, Steps, final, session_of, steps_of

pytestmark = needs_node

NAME = 'the "big, bad" talk;\nüber.wav'
TEXTS = [
    "",
    'he said "no", twice',
    "a < b & c, <i>so</i> &amp; --> ",
    "naïve 你好 🙂",
    "two\nlines\r\nor\rmore",
    " \t around ",
    '"',
    ",,,",
    "=1+1",
    "a\u2028b\u00a0c",
]
# The first second, a whole second, and beyond an hour.
STARTS_MS = [0, 5_000, *range(3_590_123, 3_650_000, 7_000)]
FINALS = [
    final(number, LABELS[number % len(LABELS)], start_ms, start_ms + 1_234, text)
    for number, (start_ms, text) in enumerate(zip(STARTS_MS, TEXTS, strict=False), 1)
]
assert len(FINALS) == len(TEXTS)


def exported(function: str, steps: Steps, *rest: str) -> str:
    """What the page writes for these steps."""
    text: str = evaluate(
        f"""const [steps, name, rest] = argument;
        {FILL_LOG}
        return (await load("export.js"))[name](log, ...rest);""",
        [steps, function, list(rest)],
    )
    return text


async def written(form: FormatName, session: Sequence[messages.ServerEvent], name: str = NAME) -> str:
    """What the program writes."""
    out = io.BytesIO()
    with closing(FORMATS[form].begin(out, LABELS, False)) as document:
        sink = document.add(name)
        for event in session:
            await sink.send(event)
    return out.getvalue().decode()


# CSV ----------------------------------------------------------------------------------------------

TEXT_COLUMNS = ("file", "reason", "label", "reliable", "uncertain", "language", "text")


def rows(text: str) -> list[dict[str, str | float | None]]:
    """Numbers as numbers, for they may be written in more than one way; None for an empty cell."""
    read = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    return [
        {name: cell if name in TEXT_COLUMNS else float(cell) if cell else None for name, cell in row.items()}
        for row in read
    ]


async def test_csv_equals_that_of_the_program() -> None:
    page = exported("toCsv", steps_of(session_of(FINALS)), NAME)
    program = await written("csv", session_of(FINALS))
    assert page.splitlines()[0] == program.splitlines()[0]
    assert rows(page) == rows(program)
    assert [row["text"] for row in rows(page)] == [safe_cell(text) for text in TEXTS]
    assert {row["file"] for row in rows(page)} == {NAME}
    assert [row["text_angry"] is None for row in rows(page)] == [text == "" for text in TEXTS]
    by_pandas = [pandas.read_csv(io.StringIO(text)) for text in (page, program)]
    pandas.testing.assert_frame_equal(*by_pandas, check_dtype=False)  # 0 is 0.0


@pytest.mark.parametrize(
    "text",
    ["one\rtwo", "\r", "one\ntwo", "\n", '"', ",", " ", "=1+1", "-2", "'@sum", "\t1", "\uff1d1", "1=1"],
)
def test_a_cell_of_csv_contains_any_text_and_no_formula(text: str) -> None:
    steps = steps_of(session_of([final(1, "sad", 0, 1_000, text)]))
    page = exported("toCsv", steps, text)
    cell = safe_cell(text)
    assert [(row["file"], row["text"]) for row in rows(page)] == [(cell, cell)]


async def test_csv_without_finals_is_its_header() -> None:
    assert exported("toCsv", steps_of([]), "x") == await written("csv", [])


def test_csv_has_the_times_of_the_page_s_clock() -> None:
    """Two sessions of the server, one file."""
    session = session_of([final(1, "sad", 1_000, 2_500, "one")])
    steps = steps_of(session, "a") + steps_of(session, "b", 60_000)
    found = rows(exported("toCsv", steps, "x"))
    assert [(row["utterance"], row["start_s"], row["end_s"]) for row in found] == [
        (1, 1.0, 2.5),
        (100, 61.0, 62.5),  # numbered on: the session before had 99
    ]


# WebVTT -------------------------------------------------------------------------------------------


def cues(text: str, path: Path) -> list[tuple[Any, ...]]:
    path.write_bytes(text.encode())
    read: Any = webvtt.read(str(path))
    return [(cue.identifier, cue.start, cue.end, cue.raw_text) for cue in read]


async def test_webvtt_equals_that_of_the_program(tmp_path: Path) -> None:
    page = exported("toWebVtt", steps_of(session_of(FINALS)))
    program = await written("vtt", session_of(FINALS))
    assert page == program
    read = cues(page, tmp_path / "page.vtt")
    assert read == cues(program, tmp_path / "program.vtt")
    assert len(read) == len(FINALS)
    assert read[2][1:3] == ("00:59:50.123", "00:59:51.357")
    assert read[4][1] == "01:00:04.123"
    assert read[4][3] == "<c.happy>[happy 88%]</c> two lines or more"
    assert "-->" not in read[2][3]  # the standard: a cue's text never contains the arrow


def test_webvtt_of_two_sessions_has_one_clock(tmp_path: Path) -> None:
    session = session_of([final(1, "sad", 1_000, 2_500, "one")])
    page = exported("toWebVtt", steps_of(session, "a") + steps_of(session, "b", 3_600_000))
    assert [(name, start, end) for name, start, end, _ in cues(page, tmp_path / "x.vtt")] == [
        ("1", "00:00:01.000", "00:00:02.500"),
        ("2", "01:00:01.000", "01:00:02.500"),
    ]


async def test_webvtt_without_finals_is_its_header(tmp_path: Path) -> None:
    page = exported("toWebVtt", steps_of([]))
    assert page == await written("vtt", [])
    assert cues(page, tmp_path / "x.vtt") == []


# JSON lines ---------------------------------------------------------------------------------------


def decoded(text: str) -> list[messages.ServerMessage]:
    assert text == "" or text.endswith("\n")
    return [messages.decode_server_message(line) for line in text.split("\n")[:-1]]


def without_interim(session: Sequence[messages.ServerMessage]) -> list[messages.ServerMessage]:
    return [event for event in session if not isinstance(event, messages.Emotion) or event.final]


async def test_json_lines_are_the_session_s_events() -> None:
    session = session_of(FINALS)
    page = exported("toJsonLines", steps_of(session))
    assert decoded(page) == without_interim(session) == decoded(await written("jsonl", session))
    assert exported("toJsonLines", steps_of([])) == ""


def test_json_lines_of_two_sessions_are_those_of_both() -> None:
    """Each on its own clock, as `emostream summary` reads them: a new one begins where `seq` decreases."""
    session = session_of(FINALS)
    found = decoded(exported("toJsonLines", steps_of(session, "a") + steps_of(session, "b", 3_600_000)))
    assert found == 2 * without_interim(session)
