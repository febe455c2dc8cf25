"""Sinks of events: JSON lines and the terminal."""

from __future__ import annotations

from typing import TextIO

import msgspec
from rich.cells import cell_len
from rich.console import Console
from rich.control import Control
from rich.segment import ControlType
from rich.text import Text

from ..protocol import messages
from .colours import TERMINAL_STYLES


class JsonLinesSink:
    """One event per line. file: the recording's name, written first if several share one output. interim:
    whether interim results are written too.
    """

    def __init__(self, out: TextIO, *, file: str | None = None, interim: bool = False) -> None:
        self._out = out
        self._file = file
        self._interim = interim

    async def send(self, event: messages.ServerEvent) -> None:
        if isinstance(event, messages.Emotion) and not (event.final or self._interim):
            return
        line = messages.encode(event)
        if self._file is not None:
            line = '{"file":' + msgspec.json.encode(self._file).decode() + "," + line[1:]
        self._out.write(line + "\n")
        self._out.flush()


class ConsoleSink:
    """A readable line for every final result, sound without speech, gap and error. On a terminal the words of
    the utterance in progress are on the last line, which is replaced by what comes next.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._in_progress = False  # whether the last line is to be replaced

    async def send(self, event: messages.ServerEvent) -> None:
        match event:
            case messages.Emotion(final=True):
                self._erase()
                self._console.print(_line(event), soft_wrap=True)
            case messages.NoEmotion():
                self._erase()
                self._console.print(_no_emotion_line(event), soft_wrap=True)
            case messages.Emotion():
                if self._console.is_terminal and event.text:
                    self._erase()
                    self._console.print(_words_so_far(event, self._console.width - 1), end="")
                    self._in_progress = True
            case messages.Dropped():
                self._erase()
                self._console.print(Text(f"  a gap of {_length(event.ms)}: {event.reason}", "magenta"))
            case messages.Error(fatal=False):  # the command reports a fatal one when it ends
                self._erase()
                self._console.print(Text(f"  {event.code}: {event.message}", "magenta"), soft_wrap=True)
            case messages.Error() | messages.Closed():
                self._erase()
            case _:
                pass

    def _erase(self) -> None:
        if self._in_progress:
            self._console.control(
                Control(ControlType.CARRIAGE_RETURN, (ControlType.ERASE_IN_LINE, 2))  # the whole line
            )
            self._in_progress = False


def _length(ms: int) -> str:
    return f"{ms} ms" if ms < 1_000 else f"{ms / 1_000:.1f} s"


def clock_time(ms: int) -> str:
    """75_300 -> 01:15.3."""
    minutes, rest = divmod(ms, 60_000)
    return f"{minutes:02d}:{rest / 1_000:04.1f}"


def _line(event: messages.Emotion) -> Text:
    style = TERMINAL_STYLES.get(event.label, "white") if event.reliable else "dim"
    line = Text.assemble(
        (f"{clock_time(event.start_ms)}-{clock_time(event.end_ms)}  {_channel(event.channel)}", "dim"),
        (f"{event.label:<8}", f"bold {style}" if event.reliable else style),
        f"{event.confidence:4.0%}  ",
        (_bar(event.confidence), style),
        "  ",
        event.text or Text("(no transcript)", "dim"),
    )
    if event.uncertain:
        line.append(f"  [{', '.join(event.uncertain)}]", "dim")
    return line


def _words_so_far(event: messages.Emotion, width: int) -> Text:
    """On one line of `width` columns; where they do not fit, the last ones. What may still change is dim."""
    stable = event.stable_chars or 0
    head = f"{clock_time(event.start_ms)}-  {_channel(event.channel)}"
    first, columns = 0, width - cell_len(head)
    if cell_len(event.text) > columns:
        head, columns = f"{head}…", columns - 1
        while first < len(event.text) and cell_len(event.text[first:]) > columns:
            first += 1
    return Text.assemble(
        (head, "dim"), event.text[first : max(first, stable)], (event.text[max(first, stable) :], "dim")
    )


def _no_emotion_line(event: messages.NoEmotion) -> Text:
    span = f"{clock_time(event.start_ms)}-{clock_time(event.end_ms)}"
    return Text(f"{span}  {_channel(event.channel)}no emotion: {event.reason.replace('_', ' ')}", "dim")


def _channel(number: int | None) -> str:
    return "" if number is None else f"channel {number}  "


def _bar(share: float, width: int = 10) -> str:
    filled = round(share * width)
    return "█" * filled + "░" * (width - filled)
