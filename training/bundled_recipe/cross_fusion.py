"""What words bring, on the clips of the cross-validation: head, fusion and calibration again in each fold.

The split test of the judged corpus is too few clips to tell a gain of a point from luck.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import torch

from emostream.models import Clip, EmotionInput, Prediction, Transcript
from emostream.models.checkpoint import Checkpoint
from emostream.models.emotion import EmotionModel
from emostream.models.recognizer import EmotionRecognizer

from ..corpora.example import Example
from ..data.audio_cache import AudioCache
from ..evaluation.crossvalidation import MATCHED, OWN_WORDS, SOUND, TEXT_ALONE
from ..evaluation.predictions import FoldPredictions, predictions_file, read_predictions, write_predictions
from ..evaluation.text_conflict import PairedTexts
from ..experiments.folds import Fold
from ..experiments.run import fit_fold
from ..run_log import Log
from ..trainer.trainer import Runtime
from .calibration_data import calibrate
from .fusion import FusionData, train_fusion
from .heads import FOLDS, HeadRunContext
from .log_callback import LogCallback
from .pairs import PairSampler
from .settings import FusionSettings


@dataclass(frozen=True, slots=True)
class PairedTextData:
    """pairing, dev_pairing, dev_lines: for fusion and its calibration. texts: what test clips are paired
    with, of a corpus that nothing was trained on.
    """

    pairing: PairSampler
    dev_pairing: PairSampler
    dev_lines: Sequence[Example]
    texts: PairedTexts


@dataclass(frozen=True, slots=True)
class FusionStage:
    """From a frozen encoder's head to a model that weighs sound and words."""

    context: HeadRunContext
    sounds: AudioCache
    wording: PairedTextData
    settings: FusionSettings
    seed: int
    log: Log

    def __call__(
        self,
        model: EmotionModel,
        head: EmotionModel,
        train: Sequence[Example],
        dev: Sequence[Example],
        place: Runtime,
    ) -> None:
        """In place: takes the head over, trains early fusion on `train`, calibrates on `dev`."""
        model.audio_encoder.mix.load_state_dict(head.audio_encoder.mix.state_dict())
        model.audio_pool.load_state_dict(head.audio_pool.state_dict())
        model.audio_head.load_state_dict(head.audio_head.state_dict())
        wording, tokenizer = self.wording, self.context.model_factory.tokenizer
        assert self.context.inputs.heard is not None
        data = FusionData(
            train,
            dev,
            self.context.inputs.heard,
            self.context.labels,
            wording.pairing,
            wording.dev_pairing,
            tokenizer,
        )
        train_fusion(model, data, self.settings, self.seed, place)
        calibrate(
            model, tokenizer, (dev, self.sounds), wording.dev_lines, wording.dev_pairing, self.seed, self.log
        )


def with_words(
    student: EmotionModel, finish: FusionStage, folds: Sequence[Fold], seed: int
) -> list[FoldPredictions]:
    """Some rows of every fold, from disk where it was judged before. student: both encoders and the text-only
    head, trained; it stays as it is.

    Goes before `heads.crossvalidate_heads`, which takes the heads' fits to their end.
    """
    examples = [example for fold in folds for example in fold.test]
    rows: tuple[str, ...] = (OWN_WORDS,) if all(example.english for example in examples) else ()
    if {example.emotion for example in examples} <= set(finish.wording.texts.labels):
        rows += (MATCHED, TEXT_ALONE)
    results = []
    for fold in folds:
        folder = finish.context.work / "outcomes"
        files = [predictions_file(folder, row, fold.name, seed) for row in rows]
        if not all(file.exists() for file in files):
            recognizer = _fitted(student, finish, fold, seed)
            said: dict[bool, list[Prediction]] = {}
            for row in rows:  # the fused posterior and that of the text alone are of one asking
                own = row == OWN_WORDS
                if own not in said:
                    said[own] = _asked(recognizer, finish, fold, own_words=own)
                write_predictions(
                    folder, _to_predictions(row, said[own], recognizer.labels, finish, fold, seed)
                )
        results += [read_predictions(file) for file in files]
    return results


def _fitted(student: EmotionModel, finish: FusionStage, fold: Fold, seed: int) -> EmotionRecognizer:
    context, log = finish.context, finish.log
    head = fit_fold(context, FOLDS, fold, seed, LogCallback(log, f"{SOUND} {fold.name}")).model
    model = deepcopy(student)
    folder = context.work / "fits" / f"fusion-{fold.name}-{seed}"
    place = Runtime(context.accelerator, folder, LogCallback(log, f"fusion {fold.name}"))
    finish(model, head, fold.train, fold.validation, place)
    checkpoint = Checkpoint(model.eval(), context.model_factory.tokenizer, folder)
    return EmotionRecognizer(checkpoint, torch.device("cpu"))


def _asked(
    recognizer: EmotionRecognizer, finish: FusionStage, fold: Fold, *, own_words: bool
) -> list[Prediction]:
    """Of the fold's test clips, each with its own words or with a text of its label."""
    words = [
        example.english if own_words else finish.wording.texts.draw(example.key, example.emotion)
        for example in fold.test
    ]
    return recognizer.recognize(
        [
            EmotionInput(Clip(finish.sounds.clip(example.key)), Transcript(text))
            for example, text in zip(fold.test, words, strict=True)
        ]
    )


def _to_predictions(
    row: str, said: Sequence[Prediction], labels: tuple[str, ...], finish: FusionStage, fold: Fold, seed: int
) -> FoldPredictions:
    shares = [one.text_only if row == TEXT_ALONE else one.probabilities for one in said]
    return FoldPredictions(
        row=row,
        fold=fold.name,
        seed=seed,
        labels=labels,
        keys=tuple(example.key for example in fold.test),
        speakers=tuple(example.speaker for example in fold.test),
        truth=np.array([labels.index(example.emotion) for example in fold.test]),
        probabilities=np.array(shares, dtype=np.float64),
        codes=None,
        validation_ua=float("nan"),
        epochs=finish.settings.epochs,
        seconds=0.0,
    )
