"""Sinks: JSON lines for programs, one line per final result on the terminal."""

from __future__ import annotations

import io
import json
import re

import msgspec
import pytest
from rich.cells import cell_len
from rich.console import Console

from emostream.streamer.output.sinks import ConsoleSink, JsonLinesSink, clock_time
from emostream.streamer.protocol import messages
from tests.support.protocol_document import EXAMPLES


def _final() -> messages.Emotion:
    event = messages.decode_server_message(next(example for example in EXAMPLES if '"emotion"' in example))
    assert isinstance(event, messages.Emotion)
    return event


FINAL = _final()
OTHERS: list[messages.ServerEvent] = [
    messages.NoEmotion(utterance=2, start_ms=4_100, end_ms=5_260, reason="no_speech", speech=0.08),
    messages.Dropped(ms=120, reason="testing"),
    messages.Error(code="analysis_failed", message="no result", fatal=False),
    messages.Closed(reason="end_of_stream", totals=messages.Totals(audio_ms=1, utterances=1, dropped_ms=0)),
]


async def test_json_lines_are_protocol_messages_with_the_file() -> None:
    out = io.StringIO()
    for event in (FINAL, *OTHERS):
        await JsonLinesSink(out).send(event)
        await JsonLinesSink(out, file='a "b".wav').send(event)
    lines = out.getvalue().splitlines()
    assert len(lines) == 10
    for plain, named in zip(lines[::2], lines[1::2], strict=True):
        fields = json.loads(named)
        assert fields.pop("file") == 'a "b".wav'
        assert fields == json.loads(plain)


async def test_the_terminal_shows_finals_losses_and_errors() -> None:
    out = io.StringIO()
    sink = ConsoleSink(Console(file=out, width=60))
    for event in (FINAL, *OTHERS):
        await sink.send(event)
    lines = out.getvalue().splitlines()
    assert len(lines) == 4  # one line each, however narrow the terminal; `closed` has none
    for word in ("00:00.8-00:03.3", "neutral", "81%", "the next train leaves at nine"):
        assert word in lines[0]
    assert lines[1] == "00:04.1-00:05.3  no emotion: no speech"
    assert "a gap of 120 ms: testing" in lines[2]
    assert "no result" in lines[3]


def interim(text: str, stable_chars: int, start_ms: int = 0) -> messages.Emotion:
    return msgspec.structs.replace(
        FINAL, final=False, reason="speaking", text=text, stable_chars=stable_chars, start_ms=start_ms
    )


class TestInterimResults:
    async def test_json_lines_hold_them_only_where_they_were_asked_for(self) -> None:
        lines = []
        for asked in (False, True):
            out = io.StringIO()
            for event in (interim("the next", 3), FINAL):
                await JsonLinesSink(out, interim=asked).send(event)
            lines.append([json.loads(line) for line in out.getvalue().splitlines()])
        assert [line["final"] for line in lines[0]] == [True]
        first, last = lines[1]
        assert (first["final"], first["text"], first["stable_chars"]) == (False, "the next", 3)
        assert last == lines[0][0]

    async def test_a_pipe_gets_none(self) -> None:
        out = io.StringIO()
        sink = ConsoleSink(Console(file=out, width=60))
        await sink.send(interim("the next", 3))
        assert out.getvalue() == ""

    async def test_a_terminal_shows_the_words_so_far_on_one_line_until_the_final(self) -> None:
        out = io.StringIO()
        sink = ConsoleSink(Console(file=out, width=60, force_terminal=True, color_system=None))
        for event in (interim("the", 0), interim("the next train", 8), FINAL, *OTHERS):
            await sink.send(event)
        screen = as_on_a_terminal(out.getvalue())
        assert len(screen) == 4
        assert "the next train leaves at nine" in screen[0]
        assert "the next train" in as_on_a_terminal(out.getvalue().split("neutral")[0].rsplit("\r", 1)[0])[-1]

    async def test_what_may_still_change_is_dim(self) -> None:
        out = io.StringIO()
        sink = ConsoleSink(
            Console(file=out, width=60, force_terminal=True, color_system="standard", legacy_windows=False)
        )
        await sink.send(interim("the next train", 8))
        assert re.search(r"the next\x1b\[2m train", out.getvalue())

    @pytest.mark.parametrize("text", ["word " * 40 + "end", "字" * 100 + "end"])
    async def test_a_text_that_is_too_long_shows_its_end_on_one_line(self, text: str) -> None:
        out = io.StringIO()
        await ConsoleSink(Console(file=out, width=40, force_terminal=True, color_system=None)).send(
            interim(text, 5)
        )
        (line,) = as_on_a_terminal(out.getvalue())
        assert line.endswith("end")
        assert "…" in line
        assert cell_len(line) < 40


def as_on_a_terminal(output: str) -> list[str]:
    """The lines of a screen after this output: `\\r\\x1b[2K` erases the line."""
    lines = [line.rsplit("\r\x1b[2K", 1)[-1] for line in output.split("\n")]
    return lines if lines[-1] else lines[:-1]


@pytest.mark.parametrize(("ms", "shown"), [(0, "00:00.0"), (75_300, "01:15.3"), (3_600_000, "60:00.0")])
def test_times(ms: int, shown: str) -> None:
    assert clock_time(ms) == shown
