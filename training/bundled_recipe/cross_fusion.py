"""Cross-validation with text: head, fusion and calibration trained again in each fold.

The test split of the evaluated corpus has too few clips to tell a gain of a point from chance.
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
from ..evaluation.crossvalidation import AUDIO_ONLY, LABEL_MATCHED, MATCHED_TEXT_ONLY, OWN_TRANSCRIPT
from ..evaluation.predictions import FoldPredictions, predictions_file, read_predictions, write_predictions
from ..evaluation.text_conflict import PairedTexts
from ..experiments.folds import Fold
from ..experiments.run import fit_fold
from ..run_log import RunLog
from ..trainer.runtime import Runtime
from .calibration_data import calibrate
from .fusion import FusionData, train_fusion
from .heads import FOLDS, HeadRunContext
from .log_callback import LogCallback
from .pairs import PairSampler
from .settings import FusionSettings


@dataclass(frozen=True, slots=True)
class PairedTextData:
    """Texts by purpose.

    sampler, validation_sampler, validation_lines: for fusion and its calibration. test_texts: to pair with
    test clips, of a corpus that nothing was trained on.
    """

    sampler: PairSampler
    validation_sampler: PairSampler
    validation_lines: Sequence[Example]
    test_texts: PairedTexts


@dataclass(frozen=True, slots=True)
class FusionStage:
    """Turns an audio-only head into a model with fusion and calibration."""

    context: HeadRunContext
    audio: AudioCache
    text_data: PairedTextData
    settings: FusionSettings
    seed: int
    log: RunLog

    def __call__(
        self,
        model: EmotionModel,
        head: EmotionModel,
        train: Sequence[Example],
        validation: Sequence[Example],
        runtime: Runtime,
    ) -> None:
        """In place: copies the head, trains early fusion on `train`, calibrates on `validation`."""
        model.audio_encoder.mix.load_state_dict(head.audio_encoder.mix.state_dict())
        model.audio_pool.load_state_dict(head.audio_pool.state_dict())
        model.audio_head.load_state_dict(head.audio_head.state_dict())
        text_data, tokenizer = self.text_data, self.context.model_factory.tokenizer
        assert self.context.inputs.audio_features is not None
        data = FusionData(
            train,
            validation,
            self.context.inputs.audio_features,
            self.context.labels,
            text_data.sampler,
            text_data.validation_sampler,
            tokenizer,
        )
        train_fusion(model, data, self.settings, self.seed, runtime)
        calibrate(
            model,
            tokenizer,
            (validation, self.audio),
            text_data.validation_lines,
            text_data.validation_sampler,
            self.seed,
            self.log,
        )


def crossvalidate_with_text(
    student: EmotionModel, stage: FusionStage, folds: Sequence[Fold], seed: int
) -> list[FoldPredictions]:
    """The rows with text of every fold, from disk where they were evaluated before. student: both encoders
    and the text-only head, trained; it is not modified.

    Runs before `heads.crossvalidate_heads`, which finishes the heads' fits.
    """
    examples = [example for fold in folds for example in fold.test]
    rows: tuple[str, ...] = (OWN_TRANSCRIPT,) if all(example.english for example in examples) else ()
    if {example.emotion for example in examples} <= set(stage.text_data.test_texts.labels):
        rows += (LABEL_MATCHED, MATCHED_TEXT_ONLY)
    results = []
    for fold in folds:
        folder = stage.context.work / "predictions"
        files = [predictions_file(folder, row, fold.name, seed) for row in rows]
        if not all(file.exists() for file in files):
            recognizer = _fit_recognizer(student, stage, fold, seed)
            predictions: dict[bool, list[Prediction]] = {}
            for row in rows:  # the fused posterior and the text-only one are of the same predictions
                own = row == OWN_TRANSCRIPT
                if own not in predictions:
                    predictions[own] = _predict_test_clips(recognizer, stage, fold, own_words=own)
                write_predictions(
                    folder, _to_predictions(row, predictions[own], recognizer.labels, stage, fold, seed)
                )
        results += [read_predictions(file) for file in files]
    return results


def _fit_recognizer(student: EmotionModel, stage: FusionStage, fold: Fold, seed: int) -> EmotionRecognizer:
    context, log = stage.context, stage.log
    head = fit_fold(context, FOLDS, fold, seed, LogCallback(log, f"{AUDIO_ONLY} {fold.name}")).model
    model = deepcopy(student)
    folder = context.work / "fits" / f"fusion-{fold.name}-{seed}"
    runtime = Runtime(context.accelerator, folder, LogCallback(log, f"fusion {fold.name}"))
    stage(model, head, fold.train, fold.validation, runtime)
    checkpoint = Checkpoint(model.eval(), context.model_factory.tokenizer, folder)
    return EmotionRecognizer(checkpoint, torch.device("cpu"))


def _predict_test_clips(
    recognizer: EmotionRecognizer, stage: FusionStage, fold: Fold, *, own_words: bool
) -> list[Prediction]:
    """Predictions for the fold's test clips, each with its own words or with a text of its label."""
    words = [
        example.english if own_words else stage.text_data.test_texts.draw(example.key, example.emotion)
        for example in fold.test
    ]
    return recognizer.recognize(
        [
            EmotionInput(Clip(stage.audio.clip(example.key)), Transcript(text))
            for example, text in zip(fold.test, words, strict=True)
        ]
    )


def _to_predictions(
    row: str,
    predictions: Sequence[Prediction],
    labels: tuple[str, ...],
    stage: FusionStage,
    fold: Fold,
    seed: int,
) -> FoldPredictions:
    probabilities = [
        prediction.text_only if row == MATCHED_TEXT_ONLY else prediction.probabilities
        for prediction in predictions
    ]
    return FoldPredictions(
        row=row,
        fold=fold.name,
        seed=seed,
        labels=labels,
        keys=tuple(example.key for example in fold.test),
        speakers=tuple(example.speaker for example in fold.test),
        truth=np.array([labels.index(example.emotion) for example in fold.test]),
        probabilities=np.array(probabilities, dtype=np.float64),
        embeddings=None,
        validation_ua=float("nan"),
        epochs=stage.settings.epochs,
        seconds=0.0,
    )
