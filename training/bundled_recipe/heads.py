"""Stage 3: audio-only heads on the frozen audio encoder: the shipped one, and those of the cross-validation.

The same code trains all of them, on the same encoder, which was not trained on the evaluated corpus. They
differ in their training speakers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np
from tokenizers import Tokenizer

from emostream.models.config import EmotionConfig
from emostream.models.emotion import EmotionModel

from ..corpora.example import Example
from ..corpora.leakage import check_disjoint
from ..emotion.model_factory import ModelFactory
from ..emotion.settings import ModelSettings
from ..evaluation.crossvalidation import AUDIO_ONLY
from ..evaluation.predictions import FoldPredictions
from ..experiments.experiment import Experiment
from ..experiments.folds import Fold
from ..experiments.prepare_data import PreparationContext, prepare_inputs
from ..experiments.run import FittedModel, RunContext, fit_fold, run_fold
from ..experiments.select_examples import label_indices
from ..experiments.table_rows import TableRow
from ..run_log import RunLog
from ..trainer.runtime import make_accelerator
from .log_callback import LogCallback
from .settings import PRECISION, HeadSettings

FOLDS = TableRow(AUDIO_ONLY, "other")
CROSS_CORPUS = TableRow("cross-corpus", "other")
HEAD = TableRow("head", "other")
_VALIDATION_SPEAKERS = 3


@dataclass(frozen=True, slots=True)
class HeadPaths:
    """work: fits and predictions. cache: audio and features."""

    work: Path
    cache: Path
    log: RunLog


@dataclass(frozen=True, slots=True)
class HeadRunContext(RunContext):
    """examples: all whose encoder states are cached."""

    examples: Sequence[Example]


def head_run_context(
    model: EmotionModel,
    tokenizer: Tokenizer,
    examples: Sequence[Example],
    settings: HeadSettings,
    seeds: Sequence[int],
    paths: HeadPaths,
) -> HeadRunContext:
    """What all heads on one encoder share. examples: of the model's labels, for training and testing
    alike.
    """
    model.eval()
    experiment = Experiment(
        name="bundled",
        labels=tuple(model.config.label_names),
        seeds=tuple(seeds),
        model=_settings_of_model(model.config),
        data=settings.data,
        trainer=settings.trainer,
    )
    model_factory = ModelFactory(model, tokenizer)

    def on_progress(name: str, done: int, total: int) -> None:
        if done % 1000 == 0:
            paths.log.line(f"{name}: {done} of {total}")

    inputs = prepare_inputs(
        examples, [experiment], model_factory, PreparationContext(_no_transcriber, paths.cache, on_progress)
    )
    labels = label_indices(examples, experiment)
    accelerator = make_accelerator(PRECISION, cpu=True)
    return HeadRunContext(experiment, model_factory, inputs, labels, accelerator, paths.work, examples)


def train_final_head(
    context: RunContext, train: Sequence[Example], validation: Sequence[Example], seed: int, log: RunLog
) -> FittedModel:
    """The shipped head: trained on the training speakers, calibrated on the validation speakers."""
    fold = _without_leakage(Fold("shipped", list(train), list(validation), []))
    return fit_fold(context, HEAD, fold, seed, LogCallback(log, "head"))


def crossvalidate_heads(
    context: RunContext, folds: Sequence[Fold], row: TableRow, seeds: Sequence[int], log: RunLog
) -> list[FoldPredictions]:
    """Predictions for every fold and seed, from disk where they were computed before."""
    results = []
    for seed in seeds:
        for fold in folds:
            result = run_fold(context, row, fold, seed, LogCallback(log, f"{row.name} {fold.name}"))
            predicted = result.probabilities.argmax(1)
            log.line(f"{row.name} {fold.name}, seed {seed}: WA {(predicted == result.truth).mean():.3f}")
            results.append(result)
    return results


def six_folds(examples: Sequence[Example], corpus: str) -> list[Fold]:
    """One fold for each of the corpus's own groups. Trains on the rest of that corpus and on split train of
    the others; three of its speakers, different ones in every fold, and split dev of the others are the
    validation set.
    """
    own = [example for example in examples if example.corpus == corpus]
    others = [example for example in examples if example.corpus != corpus]
    folds = []
    for number, group in enumerate(sorted({example.group for example in own})):
        test = [example for example in own if example.group == group]
        rest = [example for example in own if example.group != group]
        speakers = sorted({example.speaker for example in rest})
        start = number * _VALIDATION_SPEAKERS
        chosen = {speakers[(start + step) % len(speakers)] for step in range(_VALIDATION_SPEAKERS)}
        validation = [example for example in rest if example.speaker in chosen]
        train = [example for example in rest if example.speaker not in chosen]
        from_others = _subsample([e for e in others if e.split == "dev"], len(validation), number)
        train += [example for example in others if example.split == "train"]
        folds.append(_without_leakage(Fold(group, train, validation + from_others, test)))
    return folds


def cross_corpus_fold(examples: Sequence[Example], corpus: str) -> Fold:
    """Trains on all other corpora except their split dev, the validation set; tests on the whole corpus."""
    others = [example for example in examples if example.corpus != corpus]
    return _without_leakage(
        Fold(
            corpus,
            [example for example in others if example.split != "dev"],
            [example for example in others if example.split == "dev"],
            [example for example in examples if example.corpus == corpus],
        )
    )


def _without_leakage(fold: Fold) -> Fold:
    check_disjoint({"train": fold.train, "validation": fold.validation, "test": fold.test}, ("speaker",))
    return fold


def _subsample(examples: Sequence[Example], count: int, number: int) -> list[Example]:
    """A draw of `count`, so that no single corpus determines the calibration."""
    rows = np.random.default_rng([9, number]).permutation(len(examples))[:count]
    return [examples[row] for row in sorted(rows.tolist())]


def _settings_of_model(config: EmotionConfig) -> ModelSettings:
    """The model's head on the same frozen encoders, without fusion."""
    return ModelSettings(
        audio="the student",
        text="the student",
        width=config.width,
        heads=config.heads,
        feed_forward=config.feed_forward,
        layers=config.layers,
        dropout=config.dropout,
        audio_mix=config.audio_mix,
        audio_mix_layers=None if config.audio_mix_layers is None else tuple(config.audio_mix_layers),
        audio_mix_width=config.audio_mix_width,
        pooling_heads=config.pooling_heads,
        classifier=config.classifier,
        classifier_dropout=config.classifier_dropout,
        fusion="late",
        audio_frozen="all",
        text_frozen="all",
    )


def _no_transcriber() -> NoReturn:
    raise AssertionError("heads need no transcriber")
