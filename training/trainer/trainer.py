"""The loop: steps, epochs, early stopping, snapshots; on one device or several processes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, InitProcessGroupKwargs, gather_object
from torch import Tensor

from .averaging import WeightAverage, load_trainable_state_dict, trainable_state_dict
from .callbacks import NoCallback, TrainingCallback
from .history import History
from .lr_schedule import one_cycle
from .seeding import seed_torch
from .settings import TrainerSettings
from .snapshot import load_if_complete, save_atomically
from .task import Batch, Losses, Task

_PREPARATION: Final = timedelta(hours=12)
"""How long the other processes wait for the first, which transcribes and decodes for all of them."""

SNAPSHOT: Final = "snapshot.pt"
KEPT: Final = "kept.pt"


def make_accelerator(precision: str, *, cpu: bool = False) -> Accelerator:
    """One a program: device, precision and processes as `accelerate launch` or `torchrun` left word.

    Parameters that one step has no use for (an absent modality's) are nothing to wait for.
    """
    unused = DistributedDataParallelKwargs(find_unused_parameters=True)
    patient = InitProcessGroupKwargs(timeout=_PREPARATION)
    return Accelerator(mixed_precision=precision, cpu=cpu, kwargs_handlers=[unused, patient])


@dataclass(frozen=True, slots=True)
class Runtime:
    """Where a run computes, writes and is watched. folder: of its snapshot and best weights."""

    accelerator: Accelerator
    folder: Path
    watch: TrainingCallback


def fit(task: Task[Any], settings: TrainerSettings, seed: int, place: Runtime) -> History:
    """Trains `task.module` in place and leaves the weights of the epoch that is kept in it.

    Goes on where `place.folder` says that the same run stopped. With the same seed and dropout off, the
    curve is the same in one process or several. Raises FloatingPointError where the loss is not finite.
    """
    run = _Run(task, settings, seed, place)
    try:
        run.to_the_end()
    finally:
        place.accelerator.free_memory()
    kept = load_if_complete(place.folder / KEPT)
    assert kept is not None
    load_trainable_state_dict(task.module, kept)
    task.module.eval()
    return run.history


class _Run:
    """One call of `fit`: the state that a snapshot holds."""

    def __init__(self, task: Task[Any], settings: TrainerSettings, seed: int, place: Runtime) -> None:
        self._task, self._settings, self._seed, self._place = task, settings, seed, place
        accelerator = place.accelerator
        self._watch = place.watch if accelerator.is_main_process else NoCallback()
        optimizer = torch.optim.AdamW(task.groups(), weight_decay=settings.weight_decay)
        self._steps = sum(len(task.plan(epoch)) for epoch in range(settings.epochs))
        # Counts global steps; Accelerate's own would count one for every process.
        self._schedule = one_cycle(optimizer, self._steps, settings.warmup)
        self._module, self._optimizer = accelerator.prepare(task.module, optimizer)
        self._average = WeightAverage(task.module, settings.average_decay) if settings.average_decay else None
        self._epoch, self._step = 0, 0
        self.history = History()
        place.folder.mkdir(parents=True, exist_ok=True)
        self._restore()

    def to_the_end(self) -> None:
        self._watch.begin(self._steps, len(self.history.steps))
        while self._epoch < self._settings.epochs and not self._waited_long_enough():
            self._train_epoch()
            self._end_epoch()

    def _waited_long_enough(self) -> bool:
        return 0 < self._settings.patience <= self.history.waited() and bool(self.history.epochs)

    def _train_epoch(self) -> None:
        self._module.train()
        plan = self._task.plan(self._epoch)
        while self._step < len(plan):
            rate = float(self._schedule.get_last_lr()[0])
            losses = self._train_step(plan[self._step])
            self.history.steps.append(losses)
            self._step += 1
            self._watch.step(len(self.history.steps) - 1, losses, rate)
            every = self._settings.save_every
            if every and self._step % every == 0 and self._step < len(plan):
                self._save()

    def _train_step(self, items: list[int]) -> dict[str, float]:
        accelerator = self._place.accelerator
        seed_torch(self._seed, self._epoch, self._step, accelerator.process_index)
        mine, counted = share(items, accelerator.process_index, accelerator.num_processes)
        batch: Batch = self._task.batch(mine, counted, self._epoch).to(accelerator.device)
        with accelerator.autocast():
            losses: Losses = self._module(batch)
        if not bool(torch.isfinite(losses["loss"])):
            raise FloatingPointError(
                f"expected a finite loss, got {losses['loss'].item()} in epoch {self._epoch + 1}, step "
                f"{self._step + 1}: lower the learning rate"
            )
        self._optimizer.zero_grad()
        accelerator.backward(losses["loss"])
        accelerator.clip_grad_norm_(self._module.parameters(), self._settings.clip_norm)
        self._optimizer.step()
        self._schedule.step()
        if self._average is not None:
            self._average.update()
        return {name: _number(value) for name, value in losses.items()}

    def _end_epoch(self) -> None:
        keep = self.history.add_epoch(self._validated(), self._settings.keep)
        if keep and self._place.accelerator.is_main_process:
            save_atomically(self._judged_weights(), self._place.folder / KEPT)
        self._watch.epoch(self._epoch, len(self.history.steps) - 1, self.history.epochs[-1])
        self._epoch, self._step = self._epoch + 1, 0
        self._save()

    def _validated(self) -> Mapping[str, float]:
        accelerator = self._place.accelerator
        self._module.eval()
        if self._average is None:
            mine = self._task.validate(accelerator.process_index, accelerator.num_processes)
        else:
            with self._average.applied():
                mine = self._task.validate(accelerator.process_index, accelerator.num_processes)
        return self._task.metrics(gather_object(mine) if accelerator.num_processes > 1 else mine)

    def _judged_weights(self) -> dict[str, Tensor]:
        if self._average is None:
            return trainable_state_dict(self._task.module)
        with self._average.applied():
            return trainable_state_dict(self._task.module)

    def _save(self) -> None:
        accelerator = self._place.accelerator
        if accelerator.is_main_process:
            state = {
                "epoch": self._epoch,
                "step": self._step,
                "module": trainable_state_dict(self._task.module),
                "optimizer": self._optimizer.state_dict(),
                "schedule": self._schedule.state_dict(),
                "history": self.history.state_dict(),
            }
            if self._average is not None:
                state["average"] = self._average.state_dict()
            if accelerator.scaler is not None:
                state["scaler"] = accelerator.scaler.state_dict()
            save_atomically(state, self._place.folder / SNAPSHOT)
        accelerator.wait_for_everyone()

    def _restore(self) -> None:
        state = load_if_complete(self._place.folder / SNAPSHOT)
        if state is None:
            return
        load_trainable_state_dict(self._task.module, state["module"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._schedule.load_state_dict(state["schedule"])
        self.history = History.of(state["history"])
        if self._average is not None:
            self._average.load_state_dict(state["average"])
        if self._place.accelerator.scaler is not None:
            self._place.accelerator.scaler.load_state_dict(state["scaler"])
        self._epoch, self._step = int(state["epoch"]), int(state["step"])


def share(items: list[int], process: int, processes: int) -> tuple[list[int], list[bool]]:
    """This process's part of a batch, and which of it counts.

    All parts are of one size; where the batch does not divide, its first examples fill up and do not count.
    """
    size = -(-len(items) // processes)
    mine = items[process::processes]
    return mine + items[: size - len(mine)], [True] * len(mine) + [False] * (size - len(mine))


def _number(value: Tensor) -> float:
    return float(value.detach())
