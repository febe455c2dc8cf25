"""One cell of a table: one line, one fold, one seed. Trained, calibrated, judged, kept."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from accelerate import Accelerator

from emostream.models.emotion import EmotionModel

from ..corpora.example import Example
from ..emotion.collator import Collator
from ..emotion.feature_stats import standardise
from ..emotion.fit_calibration import calibrate
from ..emotion.inputs import TrainingInputs
from ..emotion.model_factory import ModelFactory
from ..emotion.module import EmotionTrainingModule
from ..emotion.predict import ExamplePrediction, judge, posteriors
from ..emotion.task import EmotionTask
from ..evaluation.predictions import FoldPredictions, predictions_file, read_predictions, write_predictions
from ..trainer.callbacks import TrainingCallback
from ..trainer.trainer import (
    SNAPSHOT_FILE,
    WEIGHTS_FILE,
    Runtime,
    fit,
    load_if_complete,
    load_trainable_state_dict,
    trainable_state_dict,
)
from .ablations import same_as_baseline, starts_from_baseline, variant
from .experiment import Experiment
from .folds import Fold
from .table_rows import BASELINE, TableRow


@dataclass(frozen=True, slots=True)
class RunContext:
    """What all cells of a table share. labels: key -> number. work: outcomes, weights and snapshots."""

    experiment: Experiment
    model_factory: ModelFactory
    inputs: TrainingInputs
    labels: Mapping[str, int]
    accelerator: Accelerator
    work: Path


@dataclass(frozen=True, slots=True)
class FittedModel:
    """A model with its calibration, and how it came about."""

    model: EmotionModel
    batches: Collator
    validation_ua: float
    epochs: int


def run_fold(
    context: RunContext, row: TableRow, fold: Fold, seed: int, watch: TrainingCallback
) -> FoldPredictions:
    """The cell's outcome: from disk where it was run before; what was begun goes on."""
    file = predictions_file(context.work / "outcomes", row.name, fold.name, seed)
    if file.exists():
        return read_predictions(file)
    if same_as_baseline(context.experiment, row):
        result = replace(
            run_fold(context, TableRow(BASELINE, "baseline"), fold, seed, watch), row=row.name, seconds=0.0
        )
    else:
        result = _train_and_test(context, row, fold, seed, watch)
    if context.accelerator.is_main_process:
        write_predictions(context.work / "outcomes", result)
        (_folder(context, row, fold, seed) / SNAPSHOT_FILE).unlink(missing_ok=True)
    context.accelerator.wait_for_everyone()
    return result


def fit_fold(
    context: RunContext, row: TableRow, fold: Fold, seed: int, watch: TrainingCallback
) -> FittedModel:
    """Trains on the fold's training examples; its validation examples stop it and calibrate it."""
    settings = variant(context.experiment, row)
    model = context.model_factory.new(settings.model, seed)
    module = EmotionTrainingModule(model, settings.contrastive, settings.data.label_smoothing)
    if starts_from_baseline(row):
        _start_from(_folder(context, TableRow(BASELINE, "baseline"), fold, seed) / WEIGHTS_FILE, module)
    batches = Collator(context.inputs, settings.data, model, context.labels)
    standardise(model.to(context.accelerator.device), batches, fold.train, context.accelerator.device)
    task = EmotionTask(
        module,
        fold.train,
        fold.validation,
        batches,
        context.labels,
        settings.trainer,
        seed,
        settings.data.balanced,
    )
    place = Runtime(context.accelerator, _folder(context, row, fold, seed), watch)
    history = fit(task, settings.trainer, seed, place)
    predictions = _judged(context, model, batches, fold.validation)
    calibrate(model, [one for one in predictions if one.informed], context.labels)
    return FittedModel(model, batches, history.epochs[history.kept]["ua"], len(history.epochs))


def _train_and_test(
    context: RunContext, row: TableRow, fold: Fold, seed: int, watch: TrainingCallback
) -> FoldPredictions:
    started = time.monotonic()
    fitted = fit_fold(context, row, fold, seed, watch)
    predictions = _judged(context, fitted.model, fitted.batches, fold.test)
    return FoldPredictions(
        row=row.name,
        fold=fold.name,
        seed=seed,
        labels=tuple(context.experiment.labels),
        keys=tuple(example.key for example in fold.test),
        speakers=tuple(example.speaker for example in fold.test),
        truth=np.array([context.labels[example.key] for example in fold.test]),
        probabilities=posteriors(predictions, fitted.model.config),
        codes=_codes(predictions) if seed == context.experiment.seeds[0] else None,  # for plots: one will do
        validation_ua=fitted.validation_ua,
        epochs=fitted.epochs,
        seconds=time.monotonic() - started,
    )


def _codes(predictions: Sequence[ExamplePrediction]) -> npt.NDArray[np.float32]:
    return torch.stack([one.code for one in predictions]).numpy()


def _judged(
    context: RunContext, model: EmotionModel, batches: Collator, examples: Sequence[Example]
) -> list[ExamplePrediction]:
    return judge(model.to(context.accelerator.device), batches, examples, context.accelerator.device)


def _start_from(file: Path, module: EmotionTrainingModule) -> None:
    """The baseline's weights; a discriminator, which the baseline does not have, stays as it was drawn."""
    baseline = load_if_complete(file)
    if baseline is None:
        raise FileNotFoundError(f"expected the baseline's weights at {file}, found none: train it first")
    load_trainable_state_dict(module, trainable_state_dict(module) | baseline)


def _folder(context: RunContext, row: TableRow, fold: Fold, seed: int) -> Path:
    return context.work / "fits" / predictions_file(Path(), row.name, fold.name, seed).stem
