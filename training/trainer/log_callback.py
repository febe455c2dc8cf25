"""Writes a run's progress to its log: a run takes an hour and may be followed from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ..run_log import RunLog

_LOG_EVERY_STEPS: Final = 200


class LogCallback:
    """A `TrainingCallback` that logs the mean losses of every 200 steps, and the validation metrics."""

    def __init__(self, log: RunLog, name: str) -> None:
        self._log = log
        self._name = name
        self._steps = 0
        self._since_last_line: list[Mapping[str, float]] = []

    def on_train_begin(self, total_steps: int, completed_steps: int) -> None:
        self._steps = total_steps
        self._log.line(f"{self._name}: {completed_steps} of {total_steps} steps are done")

    def on_step_end(self, step: int, losses: Mapping[str, float], learning_rate: float) -> None:
        self._since_last_line.append(losses)
        if (step + 1) % _LOG_EVERY_STEPS == 0:
            count = len(self._since_last_line)
            means = {name: sum(entry[name] for entry in self._since_last_line) / count for name in losses}
            self._log.line(f"{self._name} {step + 1}/{self._steps}: {_format(means)}")
            self._since_last_line = []

    def on_epoch_end(self, epoch: int, step: int, metrics: Mapping[str, float]) -> None:
        self._log.line(f"{self._name}, epoch {epoch + 1}: validation {_format(metrics)}")


def _format(metrics: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.3f}" for name, value in metrics.items())
