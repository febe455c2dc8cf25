"""Sinks of events: JSON lines and the terminal."""

from __future__ import annotations

from typing import TextIO

import msgspec
from rich.console import Console
from rich.text import Text

from ..protocol import messages
from .colours import TERMINAL_STYLES


class JsonLinesSink:
    """One event per line. file: the recording's name, written first if several share one output."""

    def __init__(self, out: TextIO, *, file: str | None = None) -> None:
        self._out = out
        self._file = file

    async def send(self, event: messages.ServerEvent) -> None:
        line = messages.encode(event)
        if self._file is not None:
            line = '{"file":' + msgspec.json.encode(self._file).decode() + "," + line[1:]
        self._out.write(line + "\n")
        self._out.flush()


class ConsoleSink:
    """A readable line for every final result, gap and error."""

    def __init__(self, console: Console) -> None:
        self._console = console

    async def send(self, event: messages.ServerEvent) -> None:
        match event:
            case messages.Emotion(final=True):
                self._console.print(_line(event), soft_wrap=True)
            case messages.Dropped():
                self._console.print(Text(f"  {event.ms} ms of audio were lost: {event.reason}", "magenta"))
            case messages.Error(fatal=False):  # the command reports a fatal one when it ends
                self._console.print(Text(f"  {event.code}: {event.message}", "magenta"), soft_wrap=True)
            case _:
                pass


def clock_time(ms: int) -> str:
    """75_300 -> 01:15.3."""
    minutes, rest = divmod(ms, 60_000)
    return f"{minutes:02d}:{rest / 1_000:04.1f}"


def _line(event: messages.Emotion) -> Text:
    style = TERMINAL_STYLES.get(event.label, "white")
    line = Text.assemble(
        (f"{clock_time(event.start_ms)}-{clock_time(event.end_ms)}  ", "dim"),
        (f"{event.label:<8}", f"bold {style}"),
        f"{event.confidence:4.0%}  ",
        (_bar(event.confidence), style),
        "  ",
        event.text or Text("(no transcript)", "dim"),
    )
    if event.uncertain:
        line.append(f"  [{', '.join(event.uncertain)}]", "dim")
    return line


def _bar(share: float, width: int = 10) -> str:
    filled = round(share * width)
    return "█" * filled + "░" * (width - filled)
