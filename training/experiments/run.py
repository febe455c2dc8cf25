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
from ..emotion.collator import Batches
from ..emotion.feature_stats import standardise
from ..emotion.fit_calibration import calibrate
from ..emotion.inputs import Material
from ..emotion.model_factory import Blueprint
from ..emotion.module import EmotionObjective
from ..emotion.predict import Judgement, judge, posteriors
from ..emotion.task import EmotionTask
from ..evaluation.predictions import Outcome, outcome_file, read_outcome, write_outcome
from ..trainer.averaging import load_trainable, trainable_state
from ..trainer.callbacks import Watch
from ..trainer.snapshot import read_whole
from ..trainer.trainer import KEPT, SNAPSHOT, Place, fit
from .ablations import same_as_baseline, starts_from_baseline, variant
from .experiment import Experiment
from .folds import Fold
from .table_rows import BASELINE, Row


@dataclass(frozen=True, slots=True)
class Bench:
    """What all cells of a table share. labels: key -> number. work: outcomes, weights and snapshots."""

    experiment: Experiment
    blueprint: Blueprint
    material: Material
    labels: Mapping[str, int]
    accelerator: Accelerator
    work: Path


@dataclass(frozen=True, slots=True)
class Fitted:
    """A model with its calibration, and how it came about."""

    model: EmotionModel
    batches: Batches
    validation_ua: float
    epochs: int


def run_cell(bench: Bench, row: Row, fold: Fold, seed: int, watch: Watch) -> Outcome:
    """The cell's outcome: from disk where it was run before; what was begun goes on."""
    file = outcome_file(bench.work / "outcomes", row.name, fold.name, seed)
    if file.exists():
        return read_outcome(file)
    if same_as_baseline(bench.experiment, row):
        outcome = replace(
            run_cell(bench, Row(BASELINE, "baseline"), fold, seed, watch), row=row.name, seconds=0.0
        )
    else:
        outcome = _outcome(bench, row, fold, seed, watch)
    if bench.accelerator.is_main_process:
        write_outcome(bench.work / "outcomes", outcome)
        (_folder(bench, row, fold, seed) / SNAPSHOT).unlink(missing_ok=True)
    bench.accelerator.wait_for_everyone()
    return outcome


def fit_cell(bench: Bench, row: Row, fold: Fold, seed: int, watch: Watch) -> Fitted:
    """Trains on the fold's training examples; its validation examples stop it and calibrate it."""
    settings = variant(bench.experiment, row)
    model = bench.blueprint.new(settings.model, seed)
    module = EmotionObjective(model, settings.contrast, settings.data.label_smoothing)
    if starts_from_baseline(row):
        _start_from(_folder(bench, Row(BASELINE, "baseline"), fold, seed) / KEPT, module)
    batches = Batches(bench.material, settings.data, model, bench.labels)
    standardise(model.to(bench.accelerator.device), batches, fold.train, bench.accelerator.device)
    task = EmotionTask(
        module,
        fold.train,
        fold.validation,
        batches,
        bench.labels,
        settings.loop,
        seed,
        settings.data.balanced,
    )
    place = Place(bench.accelerator, _folder(bench, row, fold, seed), watch)
    history = fit(task, settings.loop, seed, place)
    judgements = _judged(bench, model, batches, fold.validation)
    calibrate(model, [one for one in judgements if one.informed], bench.labels)
    return Fitted(model, batches, history.epochs[history.kept]["ua"], len(history.epochs))


def _outcome(bench: Bench, row: Row, fold: Fold, seed: int, watch: Watch) -> Outcome:
    started = time.monotonic()
    fitted = fit_cell(bench, row, fold, seed, watch)
    judgements = _judged(bench, fitted.model, fitted.batches, fold.test)
    return Outcome(
        row=row.name,
        fold=fold.name,
        seed=seed,
        labels=tuple(bench.experiment.labels),
        keys=tuple(example.key for example in fold.test),
        speakers=tuple(example.speaker for example in fold.test),
        truth=np.array([bench.labels[example.key] for example in fold.test]),
        probabilities=posteriors(judgements, fitted.model.config),
        codes=_codes(judgements) if seed == bench.experiment.seeds[0] else None,  # for plots: one will do
        validation_ua=fitted.validation_ua,
        epochs=fitted.epochs,
        seconds=time.monotonic() - started,
    )


def _codes(judgements: Sequence[Judgement]) -> npt.NDArray[np.float32]:
    return torch.stack([one.code for one in judgements]).numpy()


def _judged(
    bench: Bench, model: EmotionModel, batches: Batches, examples: Sequence[Example]
) -> list[Judgement]:
    return judge(model.to(bench.accelerator.device), batches, examples, bench.accelerator.device)


def _start_from(file: Path, module: EmotionObjective) -> None:
    """The baseline's weights; a discriminator, which the baseline does not have, stays as it was drawn."""
    baseline = read_whole(file)
    if baseline is None:
        raise FileNotFoundError(f"expected the baseline's weights at {file}, found none: train it first")
    load_trainable(module, trainable_state(module) | baseline)


def _folder(bench: Bench, row: Row, fold: Fold, seed: int) -> Path:
    return bench.work / "fits" / outcome_file(Path(), row.name, fold.name, seed).stem
