"""Sinks: JSON lines for programs, one line per final result on the terminal."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from emostream.streamer.output.sinks import ConsoleSink, JsonLinesSink, clock_time
from emostream.streamer.protocol import messages
from tests.support.protocol_document import EXAMPLES

FINAL = messages.decode_server_message(next(example for example in EXAMPLES if '"emotion"' in example))
OTHERS: list[messages.ServerEvent] = [
    messages.Dropped(ms=120, reason="testing"),
    messages.Error(code="analysis_failed", message="no result", fatal=False),
    messages.Closed(reason="end_of_stream", totals=messages.Totals(audio_ms=1, utterances=1, dropped_ms=0)),
]


async def test_json_lines_are_protocol_messages_with_the_file() -> None:
    assert isinstance(FINAL, messages.Emotion)
    out = io.StringIO()
    for event in (FINAL, *OTHERS):
        await JsonLinesSink(out).send(event)
        await JsonLinesSink(out, file='a "b".wav').send(event)
    lines = out.getvalue().splitlines()
    assert len(lines) == 8
    for plain, named in zip(lines[::2], lines[1::2], strict=True):
        fields = json.loads(named)
        assert fields.pop("file") == 'a "b".wav'
        assert fields == json.loads(plain)


async def test_the_terminal_shows_finals_losses_and_errors() -> None:
    assert isinstance(FINAL, messages.Emotion)
    out = io.StringIO()
    sink = ConsoleSink(Console(file=out, width=60))
    for event in (FINAL, *OTHERS):
        await sink.send(event)
    lines = out.getvalue().splitlines()
    assert len(lines) == 3  # one line each, however narrow the terminal; `closed` has none
    for word in ("00:00.8-00:03.3", "neutral", "81%", "the next train leaves at nine"):
        assert word in lines[0]
    assert "120 ms of audio were lost: testing" in lines[1]
    assert "no result" in lines[2]


@pytest.mark.parametrize(("ms", "shown"), [(0, "00:00.0"), (75_300, "01:15.3"), (3_600_000, "60:00.0")])
def test_times(ms: int, shown: str) -> None:
    assert clock_time(ms) == shown
