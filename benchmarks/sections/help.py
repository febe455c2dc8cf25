"""How long `--help` of each command takes."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any, Final

import typer.main

from benchmarks.suite.parts import Figure, Part, Progress, Setup, table
from emostream.streamer.cli.main import app
from emostream.training.__main__ import app as training_app

REPEATS: Final = 3
_SHOWN: Final = 5
_PROGRAMS: Final = {
    "emostream": ("emostream.streamer.cli.main", app),
    "python -m emostream.training": ("emostream.training", training_app),
}
"""As it is called -> its module, its commands."""


def measure(setup: Setup) -> Iterator[Part]:
    repeats = 1 if setup.smoke else REPEATS
    times: dict[str, float] = {}
    for program, (module, commands) in _PROGRAMS.items():
        names = command_names(commands)
        for words in names[:1] if setup.smoke else names:
            called = " ".join([program, *words])
            yield Progress(f"{called} --help")
            times[called] = statistics.median(_help(module, words) for _ in range(repeats))
    order = sorted(times, key=times.__getitem__, reverse=True)
    yield f"Of {len(times)} commands, median of {repeats}; the slowest {_SHOWN} and the fastest:\n\n"
    shown = list(dict.fromkeys([*order[:_SHOWN], order[-1]]))
    yield table(("command", "s"), [[f"`{called} --help`", f"{times[called]:.2f}"] for called in shown])
    yield Figure("help", times[order[0]], f"`{order[0]}`")


def command_names(commands: typer.Typer) -> list[list[str]]:
    """The words of the program itself (none), of each command, and of the commands of a command."""
    return list(_names(typer.main.get_command(commands), []))


def _names(command: Any, before: list[str]) -> Iterator[list[str]]:
    yield before
    loaded = command.load() if hasattr(command, "load") else command  # see LazyCommand
    for name, inner in getattr(loaded, "commands", {}).items():
        yield from _names(inner, [*before, name])


def _help(module: str, words: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", module, *words, "--help"], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began
