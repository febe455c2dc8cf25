"""Somebody looks on while a model trains: a bar with the time left, TensorBoard, or nobody."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

_SPEED_OVER_S: Final = 600.0
"""What the time left is judged by: a step may take half a minute, and two are needed."""


class TrainingCallback(Protocol):
    """Is told what happens. Steps count from 0 over all epochs."""

    def begin(self, steps: int, done: int) -> None:
        """So many steps are planned, so many were done before the run was stopped."""
        ...

    def step(self, number: int, losses: Mapping[str, float], rate: float) -> None: ...

    def epoch(self, number: int, step: int, metrics: Mapping[str, float]) -> None: ...


class NoCallback:
    """For runs among many, and for all processes but the first."""

    def begin(self, steps: int, done: int) -> None: ...

    def step(self, number: int, losses: Mapping[str, float], rate: float) -> None: ...

    def epoch(self, number: int, step: int, metrics: Mapping[str, float]) -> None: ...


class ProgressBarCallback:
    """One line on the terminal: steps, time left, loss, the last validation figures."""

    def __init__(self, progress: Progress, name: str) -> None:
        self._progress = progress
        self._task = progress.add_task(name, total=None, loss="", metrics="")

    def begin(self, steps: int, done: int) -> None:
        self._progress.update(self._task, total=steps, completed=done)

    def step(self, number: int, losses: Mapping[str, float], rate: float) -> None:
        self._progress.update(self._task, completed=number + 1, loss=f"loss {losses['loss']:.3f}")

    def epoch(self, number: int, step: int, metrics: Mapping[str, float]) -> None:
        name, value = next(iter(metrics.items()))
        shown = f"epoch {number + 1}: validation {name.upper()} {value:.3f}"
        self._progress.update(self._task, metrics=shown)

    def remove(self) -> None:
        self._progress.remove_task(self._task)


class TensorBoard:
    """Curves for `tensorboard --logdir`; a resumed run writes on from its last snapshot."""

    def __init__(self, folder: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter  # a second to import, and only here

        self._open = SummaryWriter
        self._folder = folder
        self._writer: SummaryWriter | None = None

    def begin(self, steps: int, done: int) -> None:
        # Points of steps that will be run again are purged.
        self._writer = self._open(str(self._folder), purge_step=done)

    def step(self, number: int, losses: Mapping[str, float], rate: float) -> None:
        for name, value in losses.items():
            self._add(f"train/{name}", value, number)
        self._add("train/learning rate", rate, number)
        self._flush()

    def epoch(self, number: int, step: int, metrics: Mapping[str, float]) -> None:
        for name, value in metrics.items():
            self._add(f"validation/{name}", value, step)
        self._flush()

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()

    def _flush(self) -> None:
        """What a snapshot counts as done must outlive a kill: nobody would write it again."""
        assert self._writer is not None
        self._writer.flush()

    def _add(self, name: str, value: float, step: int) -> None:
        assert self._writer is not None
        self._writer.add_scalar(name, value, step)


class CallbackList:
    """Several at once."""

    def __init__(self, *watches: TrainingCallback) -> None:
        self._watches = watches

    def begin(self, steps: int, done: int) -> None:
        for watch in self._watches:
            watch.begin(steps, done)

    def step(self, number: int, losses: Mapping[str, float], rate: float) -> None:
        for watch in self._watches:
            watch.step(number, losses, rate)

    def epoch(self, number: int, step: int, metrics: Mapping[str, float]) -> None:
        for watch in self._watches:
            watch.epoch(number, step, metrics)


@contextmanager
def progress(console: Console | None = None) -> Iterator[Progress]:
    """Bars on stderr, with the time left; gone from the screen when they end."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[loss]} {task.fields[metrics]}"),
    )
    stderr = console or Console(stderr=True)
    with Progress(*columns, console=stderr, transient=True, speed_estimate_period=_SPEED_OVER_S) as bars:
        yield bars
