"""How far a benchmark has come: a bar on a terminal, elsewhere a line every ten seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from ..clock import Clock
from .amounts import time_left
from .console import print_line

_LINE_EVERY_S: Final = 10.0


@contextmanager
def benchmark_progress(
    console: Console, clock: Clock, name: str, total: float, unit: str
) -> Iterator[Callable[[float], None]]:
    """name: of what is measured. total: in this unit. Yields a callback that takes what is done since its
    last call.
    """
    if console.is_terminal:
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:3.0f}%"))
        with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as bar:
            task = bar.add_task(f"{name}: starting", total=total)
            yield lambda done: bar.update(task, advance=done, description=name)
        return
    began = last_line = clock.now()
    so_far = 0.0

    def advance(done: float) -> None:
        nonlocal last_line, so_far
        so_far += done
        now = clock.now()
        if now < last_line + _LINE_EVERY_S:
            return
        last_line = now
        left = time_left(so_far, total, now - began)
        print_line(console, f"{name}: {so_far:.0f}/{total:.0f} {unit}" + (f", {left}" if left else ""))

    print_line(console, f"{name}: {total:.0f} {unit}")
    yield advance
