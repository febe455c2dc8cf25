"""Progress bars of the commands, on stderr; results go to stdout."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from rich.console import Console
from rich.progress import Progress, TaskID


class PreparationProgress:
    """A bar for each preparation step, the callback of `experiments.prepare_data`."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, step: str, done: int, total: int) -> None:
        if step not in self._tasks:
            self._tasks[step] = self._bars.add_task(step, total=total, loss="", metrics="")
        self._bars.update(self._tasks[step], completed=done, total=total)
        if done >= total:
            self._bars.remove_task(self._tasks.pop(step))


def print_total(console: Console, counts: Mapping[str, int], seconds: float) -> None:
    """The line that closes a run: `3 folds, 66 fits, 1164 clips; 0:17:05`. counts: noun -> how many."""
    counted = ", ".join(f"{count} {noun}{'' if count == 1 else 's'}" for noun, count in counts.items())
    console.print(f"{counted}; {timedelta(seconds=round(seconds))}", highlight=False, soft_wrap=True)
