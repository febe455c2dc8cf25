"""Curves in the trackers that Accelerate knows: Weights & Biases, MLflow, Comet, TensorBoard and others.

None is used unless it is named, and each needs its own package. Most send what they are given to a service.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from accelerate import Accelerator
from accelerate.tracking import LOGGER_TYPE_TO_CLASS, get_available_trackers

from ..errors import SettingsError

TRACKERS: Final = tuple(sorted(LOGGER_TYPE_TO_CLASS))

PROJECT: Final = "emostream"


def check_tracker(name: str) -> None:
    """Raises SettingsError for an unknown one, and where its package is not installed: Accelerate would
    leave it out without a word.
    """
    if name not in TRACKERS:
        raise SettingsError(f"expected --log-with to be one of {', '.join(TRACKERS)}, got {name}: choose one")
    if name not in [str(found.value) for found in get_available_trackers()]:
        raise SettingsError(f"expected the package of {name} for --log-with, got none: install it")


class TrackerCallback:
    """A `TrainingCallback` that logs to the tracker of `accelerator`, see `make_accelerator`.

    settings: of the run, as nested tables. A resumed run logs the steps since its last snapshot again.
    """

    def __init__(self, accelerator: Accelerator, settings: Mapping[str, Any]) -> None:
        self._accelerator = accelerator
        accelerator.init_trackers(PROJECT, config=_flat(settings))

    def on_train_begin(self, total_steps: int, completed_steps: int) -> None: ...

    def on_step_end(self, step: int, losses: Mapping[str, float], learning_rate: float) -> None:
        values = {f"train/{name}": value for name, value in losses.items()}
        self._accelerator.log(values | {"train/learning rate": learning_rate}, step=step)

    def on_epoch_end(self, epoch: int, step: int, metrics: Mapping[str, float]) -> None:
        self._accelerator.log({f"validation/{name}": value for name, value in metrics.items()}, step=step)

    def close(self) -> None:
        self._accelerator.end_training()


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, str | int | float | bool]:
    """Dotted names, and lists as text: what every tracker takes."""
    flat: dict[str, str | int | float | bool] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value if isinstance(value, str | int | float | bool) else str(value)
    return flat
