"""Emotion recognition as a `trainer.Task`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from emostream.models.encoders.base import Encoder

from ..corpora.example import Example
from ..evaluation.metrics import unweighted_recall
from ..trainer.batching import balanced_sample, mixed_batches, mixed_batches_of_seconds
from ..trainer.lr_schedule import layerwise_lr_groups, remaining_params_group
from ..trainer.settings import TrainerSettings
from .collator import Collator, EmotionBatch
from .lora import has_adapters
from .module import EmotionTrainingModule
from .predict import ExamplePrediction, PredictionRuntime, posteriors, predict


@dataclass(frozen=True, slots=True)
class EmotionTask:
    """Training of one model on one fold.

    labels: key -> label index, of all examples. Model selection uses `validation` alone. prediction: where it
    is computed.
    """

    module: EmotionTrainingModule
    train: Sequence[Example]
    validation: Sequence[Example]
    collator: Collator
    labels: Mapping[str, int]
    trainer: TrainerSettings
    seed: int
    prediction: PredictionRuntime
    balanced: bool = False

    def parameter_groups(self) -> list[dict[str, object]]:
        model = self.module.model
        groups = [*self._encoder_groups(model.audio_encoder), *self._encoder_groups(model.text_encoder)]
        # The first group's learning rate is the one displayed.
        return [remaining_params_group(self.module, groups, self.trainer.learning_rate), *groups]

    def _encoder_groups(self, encoder: Encoder) -> list[dict[str, object]]:
        """Adapters start from zero wherever they are, so all of them have one rate."""
        if has_adapters(encoder):
            return layerwise_lr_groups(encoder, self.trainer.adapter_rate, 1.0)
        return layerwise_lr_groups(encoder, self.trainer.encoder_rate, self.trainer.layer_decay)

    def epoch_batches(self, epoch: int) -> list[list[int]]:
        rng = np.random.default_rng([self.seed, epoch])
        drawn = list(range(len(self.train)))
        if self.balanced:
            cells = [(example.corpus, self.labels[example.key]) for example in self.train]
            drawn = balanced_sample(cells, rng)
        examples = [self.train[index] for index in drawn]
        labels = [self.labels[example.key] for example in examples]
        if self.trainer.batch_seconds:
            longest = [self.collator.longest_training_s(example) for example in examples]
            plan = mixed_batches_of_seconds(labels, longest, self.trainer.batch_seconds, rng)
        else:
            lengths = [self.collator.length_s(example) for example in examples]
            plan = mixed_batches(labels, lengths, self.trainer.batch, rng)
        return [[drawn[index] for index in batch] for batch in plan]

    def make_batch(self, items: Sequence[int], counted: Sequence[bool], epoch: int) -> EmotionBatch:
        return self.collator.training_batch([self.train[item] for item in items], counted, self.seed, epoch)

    def validate(self, process: int, processes: int) -> list[ExamplePrediction]:
        model, share = self.module.model, self.validation[process::processes]
        return predict(model, self.collator, share, self.prediction)

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
