"""What a command shows while it works: bars on stderr, results on stdout."""

from __future__ import annotations

from rich.progress import Progress, TaskID


class PreparationProgress:
    """A bar for each thing that is computed once and kept: `protocols.gathering.Seen`."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, what: str, done: int, of: int) -> None:
        if what not in self._tasks:
            self._tasks[what] = self._bars.add_task(what, total=of, loss="", metrics="")
        self._bars.update(self._tasks[what], completed=done, total=of)
        if done >= of:
            self._bars.remove_task(self._tasks.pop(what))
