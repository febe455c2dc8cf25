"""The cost of a table, measured: a few steps of each kind of its fits on the machine that is to make it."""

from __future__ import annotations

import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
import torch
from torch import nn

from ..corpora.example import Example
from ..emotion.predict import predict
from ..emotion.task import EmotionTask
from ..trainer.callbacks import NoCallback
from ..trainer.runtime import Runtime
from ..trainer.snapshots import trainable_tensors
from ..trainer.trainer import Trainer
from .ablations import experiment_for_row, trains_network
from .cost import FitCost, TableCost, fits_of, in_groups, kept_files, name_of
from .experiment import Experiment
from .prepare_table import PreparedTable, TableRequest
from .run import make_task, prediction_runtime
from .table_rows import parse_row

_WARM: Final = 2
_STEPS: Final = 4
"""Measured, of batches that are spread evenly over the lengths of clips; the warm ones are the largest."""
_PREDICTED: Final = 64
"""Examples whose predictions are measured."""


def measure_table(request: TableRequest, prepared: PreparedTable, cached: Path) -> TableCost:
    """Trains a few steps of each kind of fit, in the first fold, and keeps nothing of them.

    cached: the folder of decoded audio and features.
    """
    experiment = request.experiment
    rows = [row for row in request.rows if trains_network(experiment, row)]
    groups = in_groups((_kind(experiment_for_row(experiment, row)), row.name) for row in rows)
    kinds = tuple(
        _measure(
            prepared, names, len(prepared.folds) * sum(fits_of(parse_row(n), rows, experiment) for n in names)
        )
        for names in groups.values()
    )
    fits = sum(kind.fits for kind in kinds)
    kept = kept_files(experiment.keep_weights, len(prepared.folds), len(experiment.seeds), fits)
    device = prepared.context.accelerator.device
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)
    return TableCost(kinds, kept, _bytes_in(cached), f"measured on {name}")


def _kind(variant: Experiment) -> str:
    """What decides the cost of a step and the number of steps; not alpha, rates and names."""
    trainer = msgspec.structs.replace(variant.trainer, learning_rate=0, encoder_rate=0, weight_decay=0)
    parts = (variant.model, variant.data, trainer, variant.contrastive.alpha > 0)
    return msgspec.json.encode(parts).decode()


def _measure(prepared: PreparedTable, names: Sequence[str], fits: float) -> FitCost:
    context, fold = prepared.context, prepared.folds[0]
    accelerator = context.accelerator
    if accelerator.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    task = make_task(context, parse_row(names[0]), fold, seed=context.experiment.seeds[0])
    batches = sorted(task.epoch_batches(0), key=lambda items: -_seconds(task, items))
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(task, task.trainer, 0, Runtime(accelerator, Path(folder), NoCallback()))
        try:
            times = [_timed_step(trainer, batches[0]) for _ in range(_WARM)]
            places = [len(batches) * (2 * place + 1) // (2 * _STEPS) for place in range(_STEPS)]
            times = [_timed_step(trainer, batches[place]) for place in places]
            snapshot = trainer.snapshot_bytes()
        finally:
            trainer.close()
            accelerator.free_memory()
    predict_s = _prediction_seconds(prepared, task, [*fold.validation, *fold.test][:_PREDICTED])
    return FitCost(
        name=name_of(names),
        fits=round(fits),
        epochs=task.trainer.epochs,
        steps=sum(len(task.epoch_batches(epoch)) for epoch in range(task.trainer.epochs)),
        step_s=statistics.fmean(times),
        validation_s=predict_s * _audio_seconds(task, fold.validation),
        final_s=predict_s * _audio_seconds(task, [*fold.validation, *fold.test]),
        memory=_peak_memory(accelerator.device),
        weights=tensor_bytes(task.module),
        snapshot=snapshot,
    )


def tensor_bytes(module: nn.Module) -> int:
    """Of what training changes in it."""
    return sum(tensor.nbytes for tensor in trainable_tensors(module).values())


def _timed_step(trainer: Trainer, items: list[int]) -> float:
    began = time.perf_counter()
    trainer.step(items)  # reads the losses from the device, and so waits for it
    return time.perf_counter() - began


def _prediction_seconds(prepared: PreparedTable, task: EmotionTask, examples: Sequence[Example]) -> float:
    """Per second of audio."""
    runtime = prediction_runtime(prepared.context)
    predict(task.module.model, task.collator, examples[:1], runtime)
    began = time.perf_counter()
    predict(task.module.model, task.collator, examples, runtime)
    return (time.perf_counter() - began) / max(1e-9, _audio_seconds(task, examples))


def _audio_seconds(task: EmotionTask, examples: Sequence[Example]) -> float:
    return sum(task.collator.evaluated_s(example) for example in examples)


def _seconds(task: EmotionTask, items: Sequence[int]) -> float:
    """Padded, of a batch."""
    return len(items) * max(task.collator.longest_training_s(task.train[item]) for item in items)


def _peak_memory(device: torch.device) -> int:
    """Of the GPU, or of this process."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _bytes_in(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
