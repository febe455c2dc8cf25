"""One run of a table: one row, fold and seed. Trains, calibrates, evaluates, and stores the predictions."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from accelerate import Accelerator

from emostream.models.emotion import EmotionModel

from ..corpora.example import Example
from ..emotion.collator import Collator
from ..emotion.feature_stats import fit_feature_stats
from ..emotion.fit_calibration import calibrate, held_out_calibration_error
from ..emotion.inputs import TrainingInputs
from ..emotion.model_factory import ModelFactory
from ..emotion.module import EmotionTrainingModule
from ..emotion.predict import ExamplePrediction, PredictionRuntime, posteriors, predict
from ..emotion.task import EmotionTask
from ..evaluation.predictions import FoldPredictions, predictions_file, read_predictions, write_predictions
from ..trainer.callbacks import NoCallback, TrainingCallback
from ..trainer.runtime import Runtime
from ..trainer.snapshots import (
    SNAPSHOT_FILE,
    WEIGHTS_FILE,
    load_if_complete,
    load_trainable_state_dict,
    trainable_state_dict,
)
from ..trainer.trainer import fit
from .ablations import experiment_for_row, same_as_baseline
from .experiment import Experiment
from .folds import Fold
from .probe_row import run_probe
from .table_rows import BASELINE, CONCAT, PROBE, TableRow, parse_row

_BASES: Final = (BASELINE, CONCAT)
"""Rows that others start from."""


@dataclass(frozen=True, slots=True)
class RunContext:
    """What all runs of a table share. labels: key -> label index. work: predictions, weights and
    snapshots.
    """

    experiment: Experiment
    model_factory: ModelFactory
    inputs: TrainingInputs
    labels: Mapping[str, int]
    accelerator: Accelerator
    work: Path


@dataclass(frozen=True, slots=True)
class FittedModel:
    """A trained, calibrated model. validation_ua: of the selected epoch. epochs: trained.

    validation_ece: calibration error of the validation examples, see `held_out_calibration_error`; None
    where it was not measured.
    """

    model: EmotionModel
    collator: Collator
    validation_ua: float
    epochs: int
    validation_ece: float | None


def run_fold(
    context: RunContext, row: TableRow, fold: Fold, seed: int, callback: TrainingCallback
) -> FoldPredictions:
    """The predictions of the run: from disk where it finished before; an interrupted run is resumed."""
    file = predictions_file(context.work / "predictions", row.name, fold.name, seed)
    if file.exists():
        return read_predictions(file)
    if same_as_baseline(context.experiment, row):
        result = replace(
            run_fold(context, parse_row(BASELINE), fold, seed, callback), row=row.name, seconds=0.0
        )
    elif row.name == PROBE:
        result = run_probe(context, fold, seed)
    else:
        result = _train_and_test(context, row, fold, seed, callback)
    if context.accelerator.is_main_process:
        write_predictions(context.work / "predictions", result)
        (_folder(context, row, fold, seed) / SNAPSHOT_FILE).unlink(missing_ok=True)
        if row.name not in _BASES and context.experiment.keep_weights != "all":
            (_folder(context, row, fold, seed) / WEIGHTS_FILE).unlink(missing_ok=True)
    context.accelerator.wait_for_everyone()
    return result


def end_fold(context: RunContext, fold: Fold, seed: int) -> None:
    """Deletes the weights that rows of a fold and seed start from, once all are done, where the experiment
    keeps none.
    """
    if context.experiment.keep_weights == "none" and context.accelerator.is_main_process:
        for base in _BASES:
            (_folder(context, parse_row(base), fold, seed) / WEIGHTS_FILE).unlink(missing_ok=True)


def fit_fold(
    context: RunContext, row: TableRow, fold: Fold, seed: int, callback: TrainingCallback
) -> FittedModel:
    """Trains on the fold's training examples; its validation examples serve early stopping and
    calibration.
    """
    task = make_task(context, row, fold, seed)
    model, module, settings = task.module.model, task.module, task.trainer
    if row.base is not None:
        _load_base_weights(context, row.base, fold, seed, module)
    runtime = Runtime(context.accelerator, _folder(context, row, fold, seed), callback)
    history = fit(task, settings, seed, runtime)
    predictions = [
        prediction
        for prediction in _predict(context, model, task.collator, fold.validation)
        if prediction.has_input
    ]
    error = None
    # It fits the calibration twice more, and the report shows these rows.
    if row.group in ("baseline", "other"):
        speakers = {example.key: example.speaker or example.key for example in fold.validation}
        error = held_out_calibration_error(model.config, predictions, context.labels, speakers)
    calibrate(model.config, predictions, context.labels)
    validation_ua = history.epochs[history.kept]["ua"]
    return FittedModel(model, task.collator, validation_ua, len(history.epochs), error)


def make_task(context: RunContext, row: TableRow, fold: Fold, seed: int) -> EmotionTask:
    """The untrained model of a row, with its data."""
    settings = experiment_for_row(context.experiment, row)
    model = context.model_factory.build(settings.model, seed)
    module = EmotionTrainingModule(model, settings.contrastive, settings.data.label_smoothing)
    if settings.trainer.gradient_checkpointing:
        model.audio_encoder.checkpoint_gradients()
        model.text_encoder.checkpoint_gradients()
    collator = Collator(context.inputs, settings.data, model, context.labels)
    fit_feature_stats(model.to(context.accelerator.device), collator, fold.train, context.accelerator.device)
    return EmotionTask(
        module,
        fold.train,
        fold.validation,
        collator,
        context.labels,
        settings.trainer,
        seed,
        prediction_runtime(context),
        settings.data.balanced,
    )


def _train_and_test(
    context: RunContext, row: TableRow, fold: Fold, seed: int, callback: TrainingCallback
) -> FoldPredictions:
    started = time.monotonic()
    fitted = fit_fold(context, row, fold, seed, callback)
    predictions = _predict(context, fitted.model, fitted.collator, fold.test)
    return FoldPredictions(
        row=row.name,
        fold=fold.name,
        seed=seed,
        labels=tuple(context.experiment.labels),
        keys=tuple(example.key for example in fold.test),
        speakers=tuple(example.speaker for example in fold.test),
        sessions=tuple(fold.sessions.get(example.key, "") for example in fold.test),
        truth=np.array([context.labels[example.key] for example in fold.test]),
        probabilities=posteriors(predictions, fitted.model.config),
        # For plots: one seed of what they may show.
        embeddings=_embeddings(predictions)
        if seed == context.experiment.seeds[0] and row.group in ("baseline", "contrastive", "other")
        else None,
        validation_ua=fitted.validation_ua,
        validation_ece=fitted.validation_ece,
        epochs=fitted.epochs,
        seconds=time.monotonic() - started,
    )


def _embeddings(predictions: Sequence[ExamplePrediction]) -> npt.NDArray[np.float32]:
    return torch.stack([prediction.embedding for prediction in predictions]).numpy()


def _predict(
    context: RunContext, model: EmotionModel, collator: Collator, examples: Sequence[Example]
) -> list[ExamplePrediction]:
    return predict(model.to(context.accelerator.device), collator, examples, prediction_runtime(context))


def prediction_runtime(context: RunContext) -> PredictionRuntime:
    """How the fits of the context are evaluated: on their device and in the precision of training."""
    accelerator, trainer = context.accelerator, context.experiment.trainer
    return PredictionRuntime(accelerator.device, trainer.evaluation_seconds, accelerator.autocast)


def _load_base_weights(
    context: RunContext, base: str, fold: Fold, seed: int, module: EmotionTrainingModule
) -> None:
    """Loads the weights of the row that this one starts from; a discriminator, which that row lacks, keeps
    its initialization.
    """
    row = parse_row(base)
    if same_as_baseline(context.experiment, row):
        row = parse_row(BASELINE)
    file = _folder(context, row, fold, seed) / WEIGHTS_FILE
    predicted = predictions_file(context.work / "predictions", row.name, fold.name, seed)
    if not file.exists() and predicted.exists():  # deleted since: trained again, to the same weights
        fit_fold(context, row, fold, seed, NoCallback())
        (file.parent / SNAPSHOT_FILE).unlink(missing_ok=True)
    weights = load_if_complete(file)
    if weights is None:
        raise FileNotFoundError(f"expected the {row.name}'s weights at {file}, found none: train it first")
    load_trainable_state_dict(module, trainable_state_dict(module) | weights)


def _folder(context: RunContext, row: TableRow, fold: Fold, seed: int) -> Path:
    return context.work / "fits" / predictions_file(Path(), row.name, fold.name, seed).stem
