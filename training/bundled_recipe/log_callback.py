"""A run's progress as lines in its log: such a run takes an hour, and may be looked at from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ..run_log import Log

_EVERY: Final = 200


class LogCallback:
    """A `TrainingCallback`."""

    def __init__(self, log: Log, name: str) -> None:
        self._log = log
        self._name = name
        self._steps = 0
        self._since: list[Mapping[str, float]] = []

    def on_train_begin(self, total_steps: int, completed_steps: int) -> None:
        self._steps = total_steps
        self._log.line(f"{self._name}: {completed_steps} of {total_steps} steps are done")

    def on_step_end(self, step: int, losses: Mapping[str, float], learning_rate: float) -> None:
        self._since.append(losses)
        if (step + 1) % _EVERY == 0:
            means = {name: sum(one[name] for one in self._since) / len(self._since) for name in losses}
            self._log.line(f"{self._name} {step + 1}/{self._steps}: {_shown(means)}")
            self._since = []

    def on_epoch_end(self, epoch: int, step: int, metrics: Mapping[str, float]) -> None:
        self._log.line(f"{self._name}, epoch {epoch + 1}: validation {_shown(metrics)}")


def _shown(metrics: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.3f}" for name, value in metrics.items())
