"""The training loop: epochs of steps, validation, early stopping, snapshots; in one process or in several.

`fit` trains a task, `Trainer` is one run of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, closing, nullcontext
from typing import Any

import torch
from accelerate.utils import gather_object
from torch import Tensor

from .accumulation import backward_in_parts, check_divisible, divide
from .batching import shard_batch
from .callbacks import NoCallback
from .history import History
from .loader import made_ahead
from .lr_schedule import warmup_linear_decay
from .runtime import Runtime
from .seeding import seed_torch
from .settings import TrainerSettings
from .snapshots import (
    SNAPSHOT_FILE,
    WEIGHTS_FILE,
    SnapshotWriter,
    load_if_complete,
    load_trainable_state_dict,
    trainable_tensors,
)
from .task import Batch, Losses, Task
from .weight_average import WeightAverage


def fit(task: Task[Any], settings: TrainerSettings, seed: int, runtime: Runtime) -> History:
    """Trains `task.module` in place and leaves in it the weights of the epoch that `settings.keep` selects.

    Resumes from the snapshot in `runtime.folder`, if there is one. With the same seed and dropout off, the
    curve is the same in one process or several. Raises FloatingPointError where the loss is not finite,
    SettingsError where batches cannot be computed in the parts that the settings want.
    """
    trainer = Trainer(task, settings, seed, runtime)
    try:
        trainer.run()
    finally:
        trainer.close()
        runtime.accelerator.free_memory()
    runtime.accelerator.wait_for_everyone()  # the first process has written what all of them read
    weights = load_if_complete(runtime.folder / WEIGHTS_FILE)
    assert weights is not None
    load_trainable_state_dict(task.module, weights)
    task.module.eval()
    return trainer.history


class Trainer:
    """One run of `fit`: its progress, and all state that a snapshot holds."""

    def __init__(self, task: Task[Any], settings: TrainerSettings, seed: int, runtime: Runtime) -> None:
        accelerator = runtime.accelerator
        check_divisible(task.module, settings.accumulation, accelerator.num_processes)
        self._task, self._settings, self._seed = task, settings, seed
        self._accelerator, self._folder = accelerator, runtime.folder
        self._callback = runtime.callback if accelerator.is_main_process else NoCallback()

        optimizer = torch.optim.AdamW(task.parameter_groups(), weight_decay=settings.weight_decay)
        self._total_steps = sum(len(task.epoch_batches(epoch)) for epoch in range(settings.epochs))
        # Not given to Accelerate, which would advance it once for every process: it counts global steps.
        self._lr_schedule = warmup_linear_decay(optimizer, self._total_steps, settings.warmup)
        self._module, self._optimizer = accelerator.prepare(task.module, optimizer)
        self._average = WeightAverage(task.module, settings.average_decay) if settings.average_decay else None

        # The next step to be run, counted within its epoch.
        self._epoch, self._step = 0, 0
        self.history = History()
        self._folder.mkdir(parents=True, exist_ok=True)
        self._restore_snapshot()
        self._writer = SnapshotWriter()

    def close(self) -> None:
        """Waits for the snapshot that is being written."""
        self._writer.close()

    def run(self) -> None:
        self._callback.on_train_begin(self._total_steps, len(self.history.steps))
        while self._epoch < self._settings.epochs and not self._should_stop():
            self._train_epoch()
            self._end_epoch()

    def step(self, items: list[int]) -> dict[str, float]:
        """One step on a batch of the task's examples outside of `run`: to measure it."""
        self._module.train()
        return self._train_step(self._make_parts(items))

    def _should_stop(self) -> bool:
        patience = self._settings.patience
        return 0 < patience <= self.history.epochs_since_best() and bool(self.history.epochs)

    def _train_epoch(self) -> None:
        self._module.train()
        batches = self._task.epoch_batches(self._epoch)
        save_every, workers = self._settings.save_every, self._settings.loader_workers
        with closing(made_ahead(self._make_parts, batches[self._step :], workers)) as made:
            for parts in made:
                rate = float(self._lr_schedule.get_last_lr()[0])
                losses = self._train_step(parts)
                self.history.steps.append(losses)
                self._step += 1
                self._callback.on_step_end(len(self.history.steps) - 1, losses, rate)
                if save_every and self._step % save_every == 0 and self._step < len(batches):
                    self._save_snapshot()

    def _make_parts(self, items: list[int]) -> list[Batch]:
        """This process's share of the batch, in the parts that it is computed in."""
        process, processes = self._accelerator.process_index, self._accelerator.num_processes
        shard, counted = shard_batch(items, process, processes)
        parts = self._settings.accumulation
        return [
            self._task.make_batch(of_part, counted_in_part, self._epoch)
            for of_part, counted_in_part in zip(divide(shard, parts), divide(counted, parts), strict=True)
        ]

    def _train_step(self, parts: list[Batch]) -> dict[str, float]:
        """One step of the optimizer on a batch; the values of the losses before it."""
        accelerator = self._accelerator
        batches: list[Batch] = [part.to(accelerator.device) for part in parts]
        self._optimizer.zero_grad()
        losses = self._backward(batches)
        self._check_finite(losses["loss"])
        accelerator.clip_grad_norm_(self._module.parameters(), self._settings.clip_norm)
        self._optimizer.step()
        # float16's scaler leaves a step out whose gradient overflowed, and halves the scale.
        if not accelerator.optimizer_step_was_skipped:
            self._lr_schedule.step()
            if self._average is not None:
                self._average.update()
        return {name: float(value.detach()) for name, value in losses.items()}

    def _backward(self, batches: list[Batch]) -> Losses:
        """The losses; their gradients are added to the weights'."""
        if len(batches) > 1:
            module: Any = self._task.module  # a DivisibleModule, as was checked
            return backward_in_parts(module, batches, self._accelerator, self._seed_part)
        self._seed_part(0)
        with self._accelerator.autocast():
            losses: Losses = self._module(batches[0])
        self._accelerator.backward(losses["loss"])
        return losses

    def _seed_part(self, part: int) -> None:
        seed_torch(self._seed, self._epoch, self._step, self._accelerator.process_index, part)

    def _check_finite(self, loss: Tensor) -> None:
        if not bool(torch.isfinite(loss)):
            raise FloatingPointError(
                f"expected a finite loss, got {loss.item()} in epoch {self._epoch + 1}, step "
                f"{self._step + 1}: lower the learning rate"
            )

    def _end_epoch(self) -> None:
        """Validates, writes the weights if they are the ones to keep, then the snapshot that counts them."""
        keep = self.history.add_epoch(self._validate(), self._settings.keep)
        if keep and self._accelerator.is_main_process:
            with self._averaged_weights():
                self._writer.save(trainable_tensors(self._task.module), self._folder / WEIGHTS_FILE)
        self._callback.on_epoch_end(self._epoch, len(self.history.steps) - 1, self.history.epochs[-1])
        self._epoch, self._step = self._epoch + 1, 0
        self._save_snapshot()

    def _validate(self) -> Mapping[str, float]:
        process, processes = self._accelerator.process_index, self._accelerator.num_processes
        self._module.eval()
        with self._averaged_weights():
            predictions = self._task.validate(process, processes)
        return self._task.metrics(gather_object(predictions) if processes > 1 else predictions)

    def _averaged_weights(self) -> AbstractContextManager[None]:
        return nullcontext() if self._average is None else self._average.applied()

    def _save_snapshot(self) -> None:
        if self._accelerator.is_main_process:
            self._writer.save(self._state(), self._folder / SNAPSHOT_FILE)

    def snapshot_bytes(self) -> int:
        """Of the tensors that a snapshot holds now."""
        return sum(tensor.nbytes for tensor in _tensors_in(self._state()))

    def _state(self) -> dict[str, Any]:
        """Everything that a resumed run needs."""
        state = {
            "epoch": self._epoch,
            "step": self._step,
            "module": trainable_tensors(self._task.module),
            "optimizer": self._optimizer.state_dict(),
            "lr_schedule": self._lr_schedule.state_dict(),
            "history": self.history.state_dict(),
        }
        if self._average is not None:
            state["average"] = self._average.state_dict()
        if self._accelerator.scaler is not None:
            state["scaler"] = self._accelerator.scaler.state_dict()
        return state

    def _restore_snapshot(self) -> None:
        state = load_if_complete(self._folder / SNAPSHOT_FILE)
        if state is None:
            return
        self._epoch, self._step = int(state["epoch"]), int(state["step"])
        load_trainable_state_dict(self._task.module, state["module"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._lr_schedule.load_state_dict(state["lr_schedule"])
        self.history = History.from_state_dict(state["history"])
        if self._average is not None:
            self._average.load_state_dict(state["average"])
        if self._accelerator.scaler is not None:
            self._accelerator.scaler.load_state_dict(state["scaler"])


def _tensors_in(state: Any) -> list[Tensor]:
    if isinstance(state, Tensor):
        return [state]
    values = state.values() if isinstance(state, dict) else state if isinstance(state, list | tuple) else ()
    return [tensor for value in values for tensor in _tensors_in(value)]
