"""A stage's state on disk, so that a stopped run goes on where its last epoch ended."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from ..loop.snapshot import read_whole, write_whole


@dataclass(frozen=True, slots=True)
class Snapshot:
    """file: one stage's. modules, optimizer and schedule are restored in place."""

    file: Path
    modules: nn.Module
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler

    def save(self, epoch: int) -> None:
        """Replaces the file at once: a kill in the middle leaves the older one."""
        state = {
            "epoch": epoch,
            "modules": self.modules.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
        }
        write_whole(state, self.file)

    def restore(self) -> int:
        """The number of finished epochs, 0 where nothing was saved."""
        state = read_whole(self.file)
        if state is None:
            return 0
        self.modules.load_state_dict(state["modules"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        return int(state["epoch"])
