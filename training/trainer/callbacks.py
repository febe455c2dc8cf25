"""Callbacks of the trainer: a progress bar with the time left, TensorBoard, several at once, or none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

_SPEED_WINDOW_S: Final = 600.0
"""The time left is estimated from these last seconds: a step may take half a minute, and two are needed."""


class TrainingCallback(Protocol):
    """Called by the trainer as it goes. Steps count from 0 over all epochs, and epochs from 0."""

    def on_train_begin(self, total_steps: int, completed_steps: int) -> None:
        """completed_steps: of the total, before the run was interrupted; 0 for a new run."""
        ...

    def on_step_end(self, step: int, losses: Mapping[str, float], learning_rate: float) -> None: ...

    def on_epoch_end(self, epoch: int, step: int, metrics: Mapping[str, float]) -> None:
        """step: the epoch's last one. metrics: of the validation, the deciding one first."""
        ...


class NoCallback:
    """For runs among many, and for all processes but the first."""

    def on_train_begin(self, total_steps: int, completed_steps: int) -> None: ...

    def on_step_end(self, step: int, losses: Mapping[str, float], learning_rate: float) -> None: ...

    def on_epoch_end(self, epoch: int, step: int, metrics: Mapping[str, float]) -> None: ...


class ProgressBarCallback:
    """One line on the terminal: steps, time left, loss, the last validation metric."""

    def __init__(self, progress: Progress, name: str) -> None:
        self._progress = progress
        self._task = progress.add_task(name, total=None, loss="", metrics="")

    def on_train_begin(self, total_steps: int, completed_steps: int) -> None:
        self._progress.update(self._task, total=total_steps, completed=completed_steps)

    def on_step_end(self, step: int, losses: Mapping[str, float], learning_rate: float) -> None:
        self._progress.update(self._task, completed=step + 1, loss=f"loss {losses['loss']:.3f}")

    def on_epoch_end(self, epoch: int, step: int, metrics: Mapping[str, float]) -> None:
        name, value = next(iter(metrics.items()))
        shown = f"epoch {epoch + 1}: validation {name.upper()} {value:.3f}"
        self._progress.update(self._task, metrics=shown)

    def remove(self) -> None:
        self._progress.remove_task(self._task)


class _SpeedColumn(ProgressColumn):
    """Steps, clips or whatever is counted, per second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.{0 if speed >= 10 else 1}f}/s")


class TensorBoardCallback:
    """Curves for `tensorboard --logdir`; a resumed run continues them from its last snapshot."""

    def __init__(self, folder: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter  # takes a second to import, and only here

        self._open = SummaryWriter
        self._folder = folder
        self._writer: SummaryWriter | None = None

    def on_train_begin(self, total_steps: int, completed_steps: int) -> None:
        # Points of steps that will be run again are purged.
        self._writer = self._open(str(self._folder), purge_step=completed_steps)

    def on_step_end(self, step: int, losses: Mapping[str, float], learning_rate: float) -> None:
        for name, value in losses.items():
            self._add(f"train/{name}", value, step)
        self._add("train/learning rate", learning_rate, step)
        self._flush()

    def on_epoch_end(self, epoch: int, step: int, metrics: Mapping[str, float]) -> None:
        for name, value in metrics.items():
            self._add(f"validation/{name}", value, step)
        self._flush()

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()

    def _flush(self) -> None:
        """What a snapshot counts as completed must survive a kill: it is never written again."""
        assert self._writer is not None
        self._writer.flush()

    def _add(self, name: str, value: float, step: int) -> None:
        assert self._writer is not None
        self._writer.add_scalar(name, value, step)


class CallbackList:
    """Several callbacks, called in order."""

    def __init__(self, *callbacks: TrainingCallback) -> None:
        self._callbacks = callbacks

    def on_train_begin(self, total_steps: int, completed_steps: int) -> None:
        for callback in self._callbacks:
            callback.on_train_begin(total_steps, completed_steps)

    def on_step_end(self, step: int, losses: Mapping[str, float], learning_rate: float) -> None:
        for callback in self._callbacks:
            callback.on_step_end(step, losses, learning_rate)

    def on_epoch_end(self, epoch: int, step: int, metrics: Mapping[str, float]) -> None:
        for callback in self._callbacks:
            callback.on_epoch_end(epoch, step, metrics)


@contextmanager
def progress_bars(console: Console | None = None) -> Iterator[Progress]:
    """Progress bars on stderr, with the time left; erased when they end, and none where it is no terminal."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _SpeedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[loss]} {task.fields[metrics]}"),
    )
    stderr = console or Console(stderr=True)
    with Progress(
        *columns,
        console=stderr,
        transient=True,
        speed_estimate_period=_SPEED_WINDOW_S,
        disable=not stderr.is_terminal,
    ) as bars:
        yield bars
