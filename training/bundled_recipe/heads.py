"""Stage 3: what the frozen audio encoder's frames say about emotion; and how well, speaker by speaker.

The head that is shipped and the heads of the cross-validation are made by the same lines here, on the same
encoder, which has never heard the corpus that is judged. They differ in who is trained on.
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
from ..evaluation.crossvalidation import SOUND
from ..evaluation.predictions import FoldPredictions
from ..experiments.experiment import Experiment
from ..experiments.folds import Fold
from ..experiments.prepare_data import PreparationContext, gather, label_indices
from ..experiments.run import FittedModel, RunContext, fit_fold, run_fold
from ..experiments.table_rows import TableRow
from ..run_log import Log
from ..trainer.trainer import make_accelerator
from .log_callback import LogCallback
from .settings import PRECISION, HeadSettings

FOLDS = TableRow(SOUND, "other")
CROSS_CORPUS = TableRow("stranger", "other")
HEAD = TableRow("head", "other")
_VALIDATION_SPEAKERS = 3


@dataclass(frozen=True, slots=True)
class HeadPaths:
    """work: fits and outcomes. cache: sounds and features."""

    work: Path
    cache: Path
    log: Log


@dataclass(frozen=True, slots=True)
class HeadRunContext(RunContext):
    """examples: all that the encoder was asked about."""

    examples: Sequence[Example]


def head_run_context(
    model: EmotionModel,
    tokenizer: Tokenizer,
    examples: Sequence[Example],
    settings: HeadSettings,
    seeds: Sequence[int],
    place: HeadPaths,
) -> HeadRunContext:
    """What all heads on one encoder share. examples: of the model's labels, of training and judging alike."""
    model.eval()
    experiment = Experiment(
        name="bundled",
        labels=tuple(model.config.label_names),
        seeds=tuple(seeds),
        model=_as_the_model(model.config),
        data=settings.data,
        trainer=settings.trainer,
    )
    model_factory = ModelFactory(model, tokenizer)

    def seen(what: str, done: int, of: int) -> None:
        if done % 1000 == 0:
            place.log.line(f"{what}: {done} of {of}")

    inputs = gather(examples, [experiment], model_factory, PreparationContext(_nobody, place.cache, seen))
    labels = label_indices(examples, experiment)
    accelerator = make_accelerator(PRECISION, cpu=True)
    return HeadRunContext(experiment, model_factory, inputs, labels, accelerator, place.work, examples)


def train_final_head(
    context: RunContext, train: Sequence[Example], dev: Sequence[Example], seed: int, log: Log
) -> FittedModel:
    """Trained on the training speakers, calibrated on the validation speakers."""
    fold = _checked(Fold("shipped", list(train), list(dev), []))
    return fit_fold(context, HEAD, fold, seed, LogCallback(log, "head"))


def crossvalidate_heads(
    context: RunContext, folds: Sequence[Fold], row: TableRow, seeds: Sequence[int], log: Log
) -> list[FoldPredictions]:
    """One outcome a fold and seed, from disk where it was judged before."""
    results = []
    for seed in seeds:
        for fold in folds:
            result = run_fold(context, row, fold, seed, LogCallback(log, f"{row.name} {fold.name}"))
            guesses = result.probabilities.argmax(1)
            log.line(f"{row.name} {fold.name}, seed {seed}: WA {(guesses == result.truth).mean():.3f}")
            results.append(result)
    return results


def six_folds(examples: Sequence[Example], corpus: str) -> list[Fold]:
    """Of the corpus's own groups. Beside the rest of that corpus, split train of all others is learned from;
    three of its speakers, others in every fold, and split dev of the other corpora validate and calibrate.
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
        beside = _as_many([e for e in others if e.split == "dev"], len(validation), number)
        train += [example for example in others if example.split == "train"]
        folds.append(_checked(Fold(group, train, validation + beside, test)))
    return folds


def cross_corpus_fold(examples: Sequence[Example], corpus: str) -> Fold:
    """Trained on all of the others but their split dev, which validates; tested on all of the corpus."""
    others = [example for example in examples if example.corpus != corpus]
    return _checked(
        Fold(
            corpus,
            [example for example in others if example.split != "dev"],
            [example for example in others if example.split == "dev"],
            [example for example in examples if example.corpus == corpus],
        )
    )


def _checked(fold: Fold) -> Fold:
    check_disjoint({"train": fold.train, "validation": fold.validation, "test": fold.test}, ("speaker",))
    return fold


def _as_many(examples: Sequence[Example], count: int, number: int) -> list[Example]:
    """A draw of `count`, so that neither corpus decides alone how certain the head may be."""
    rows = np.random.default_rng([9, number]).permutation(len(examples))[:count]
    return [examples[row] for row in sorted(rows.tolist())]


def _as_the_model(config: EmotionConfig) -> ModelSettings:
    """The same head on the same frozen encoders, and nothing to fuse."""
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


def _nobody() -> NoReturn:
    raise AssertionError("nothing is transcribed here")
