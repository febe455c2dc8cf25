"""Emotion recognition as a `trainer.Task`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..corpora.example import Example
from ..evaluation.metrics import unweighted_recall
from ..trainer.batching import balanced_sample, mixed_batches
from ..trainer.lr_schedule import layerwise_lr_groups, remaining_params_group
from ..trainer.settings import TrainerSettings
from .collator import Collator, EmotionBatch
from .module import EmotionTrainingModule
from .predict import ExamplePrediction, posteriors, predict


@dataclass(frozen=True, slots=True)
class EmotionTask:
    """Training of one model on one fold.

    labels: key -> label index, of all examples. Model selection uses `validation` alone.
    """

    module: EmotionTrainingModule
    train: Sequence[Example]
    validation: Sequence[Example]
    collator: Collator
    labels: Mapping[str, int]
    trainer: TrainerSettings
    seed: int
    balanced: bool = False

    def parameter_groups(self) -> list[dict[str, object]]:
        model, rate, decay = self.module.model, self.trainer.encoder_rate, self.trainer.layer_decay
        groups = [
            *layerwise_lr_groups(model.audio_encoder, rate, decay),
            *layerwise_lr_groups(model.text_encoder, rate, decay),
        ]
        # The first group's learning rate is the one displayed.
        return [remaining_params_group(self.module, groups, self.trainer.learning_rate), *groups]

    def epoch_batches(self, epoch: int) -> list[list[int]]:
        rng = np.random.default_rng([self.seed, epoch])
        labels = [self.labels[example.key] for example in self.train]
        lengths = [self.collator.length_s(example) for example in self.train]
        if not self.balanced:
            return mixed_batches(labels, lengths, self.trainer.batch, rng)
        drawn = balanced_sample([(example.corpus, self.labels[example.key]) for example in self.train], rng)
        plan = mixed_batches(
            [labels[index] for index in drawn], [lengths[index] for index in drawn], self.trainer.batch, rng
        )
        return [[drawn[index] for index in batch] for batch in plan]

    def make_batch(self, items: Sequence[int], counted: Sequence[bool], epoch: int) -> EmotionBatch:
        return self.collator.training_batch([self.train[item] for item in items], counted, self.seed, epoch)

    def validate(self, process: int, processes: int) -> list[ExamplePrediction]:
        device = next(self.module.parameters()).device
        return predict(self.module.model, self.collator, self.validation[process::processes], device)

    def metrics(self, predictions: Sequence[ExamplePrediction]) -> dict[str, float]:
        truth = [self.labels[prediction.key] for prediction in predictions]
        probabilities = posteriors(predictions, self.module.model.config)
        entropy = -np.log(probabilities[np.arange(len(truth)), truth] + 1e-12).mean()
        predicted = probabilities.argmax(1)
        return {
            "ua": unweighted_recall(truth, predicted.tolist()),
            "wa": float((predicted == np.array(truth)).mean()),
            "cross_entropy": float(entropy),
        }
