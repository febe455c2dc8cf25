"""The curves of a run: the losses of every step and the validation metrics of every epoch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(slots=True)
class History:
    """steps: named losses of every step. epochs: named validation metrics of every epoch.

    best: the epoch (from 0) with the highest first metric, the earliest of equals; -1 before the first.
    kept: the epoch whose weights are kept: that one, or the last one.
    """

    steps: list[dict[str, float]] = field(default_factory=list)
    epochs: list[dict[str, float]] = field(default_factory=list)
    best: int = -1
    kept: int = -1

    def add_epoch(self, metrics: Mapping[str, float], keep: Literal["best", "last"] = "best") -> bool:
        """True where its weights are to be kept for now."""
        first = next(iter(metrics))
        better = self.best < 0 or metrics[first] > self.epochs[self.best][first]
        self.epochs.append({name: float(value) for name, value in metrics.items()})
        if better:
            self.best = len(self.epochs) - 1
        if better or keep == "last":
            self.kept = len(self.epochs) - 1
        return self.kept == len(self.epochs) - 1

    def epochs_since_best(self) -> int:
        return len(self.epochs) - 1 - self.best

    def state_dict(self) -> dict[str, Any]:
        return {"steps": self.steps, "epochs": self.epochs, "best": self.best, "kept": self.kept}

    @classmethod
    def from_state_dict(cls, state: dict[str, Any]) -> History:
        return cls(list(state["steps"]), list(state["epochs"]), int(state["best"]), int(state["kept"]))
