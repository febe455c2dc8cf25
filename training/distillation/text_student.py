"""Stage 2: trains the text student on its teacher's soft targets for written dialogue, and on the labels.

Half of the lines have simulated recognition errors, which the teacher's had not: it makes the student robust
to them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from emostream.models.collate import TextBatch, collate_text
from emostream.models.emotion import EmotionModel

from ..augmentation.asr_noise import simulate_asr_errors
from ..augmentation.confusions import Confusions
from ..augmentation.settings import TextErrorRates
from ..corpora.example import Example
from ..evaluation.metrics import unweighted_recall
from ..trainer.batching import length_grouped_batches
from ..trainer.history import History
from ..trainer.runtime import Runtime
from ..trainer.seeding import example_rng
from ..trainer.settings import TrainerSettings
from ..trainer.task import Losses
from ..trainer.trainer import fit
from .settings import TextSettings
from .text_teacher import WIDTH, SoftTargets, softened_weights


@dataclass(frozen=True, slots=True)
class StudentBatch:
    """labels: (B,), -100 for another emotion. vectors: (B, WIDTH) and logits: (B, C) of the teacher."""

    text: TextBatch
    labels: Tensor
    vectors: Tensor
    logits: Tensor

    def to(self, device: torch.device) -> StudentBatch:
        moved = (part.to(device) for part in (self.labels, self.vectors, self.logits))
        return StudentBatch(self.text.to(device), *moved)


class TextStudent(nn.Module):
    """The model's text branch with its own head, and two maps that are discarded after training."""

    class_weights: Tensor

    def __init__(self, model: EmotionModel, settings: TextSettings, class_weights: Tensor) -> None:
        super().__init__()
        width = 2 * model.config.text_config.hidden_size
        self.encoder = model.text_encoder
        self.pool = model.text_pool
        self.head = model.text_head
        self.to_teacher = nn.Linear(width, WIDTH)
        self.is_other = nn.Linear(width, 1)
        self.register_buffer("class_weights", class_weights, persistent=False)
        self._settings = settings

    def forward(self, batch: StudentBatch) -> Losses:
        settings, functional = self._settings, nn.functional
        code = self.pool(*self.encoder(batch.text.ids, batch.text.mask))
        logits, other = self.head(code).float(), self.is_other(code)[:, 0].float()
        known = batch.labels >= 0
        named = functional.cross_entropy(logits, batch.labels, self.class_weights, label_smoothing=0.05)
        if not known.any():
            named = logits.sum() * 0.0  # the mean over nothing is NaN
        temperature = settings.temperature
        distillation = functional.kl_div(
            (logits / temperature).log_softmax(1),
            (batch.logits / temperature).softmax(1),
            reduction="batchmean",
        )
        distance = (1.0 - functional.cosine_similarity(self.to_teacher(code).float(), batch.vectors)).mean()
        other_loss = functional.binary_cross_entropy_with_logits(other, (~known).float())
        total = (
            named + settings.soft_weight * temperature**2 * distillation + settings.vector_weight * distance
        )
        return {
            "loss": total + settings.other_weight * other_loss,
            "labels": named,
            "soft_labels": distillation,
            "vectors": distance,
        }


@dataclass(frozen=True, slots=True)
class TextTask:
    """Distillation of the text branch as a `trainer.Task`. confusions: of simulated recognition errors."""

    module: TextStudent
    model: EmotionModel
    tokenizer: Tokenizer
    train: Sequence[Example]
    validation: Sequence[Example]
    soft_targets: SoftTargets
    confusions: Confusions
    settings: TextSettings
    seed: int

    def parameter_groups(self) -> list[dict[str, object]]:
        return [{"params": list(self.module.parameters()), "lr": self.settings.learning_rate}]

    def epoch_batches(self, epoch: int) -> list[list[int]]:
        rng = np.random.default_rng([self.seed, 2, epoch])
        return length_grouped_batches([len(line.words) for line in self.train], self.settings.batch, rng)

    def make_batch(self, items: Sequence[int], counted: Sequence[bool], epoch: int) -> StudentBatch:
        """Runs in one process, so every item is in the loss."""
        texts, numbers = [], []
        for item in items:
            line = self.train[item]
            rng = example_rng(self.seed, epoch, line.key)
            texts.append(
                simulate_asr_errors(line.words, self.confusions, TextErrorRates(), rng)
                if rng.random() < 0.5
                else line.words
            )
            numbers.append(self.model.config.label2id.get(line.emotion, -100))
        rows = list(items)
        return StudentBatch(
            collate_text(texts, self.tokenizer, self.model.config.max_tokens),
            torch.tensor(numbers),
            torch.from_numpy(self.soft_targets.vectors[rows].astype(np.float32)),
            torch.from_numpy(self.soft_targets.logits[rows].astype(np.float32)),
        )

    def validate(self, process: int, processes: int) -> list[tuple[int, int]]:
        return text_predictions(self.model, self.tokenizer, self.validation[process::processes])

    def metrics(self, predictions: Sequence[Any]) -> dict[str, float]:
        return {
            "ua": unweighted_recall(
                [truth for truth, _ in predictions], [predicted for _, predicted in predictions]
            )
        }


def train_text_student(
    model: EmotionModel,
    tokenizer: Tokenizer,
    lines: tuple[Sequence[Example], Sequence[Example]],
    soft_targets: SoftTargets,
    words: Sequence[str],
    settings: TextSettings,
    seed: int,
    runtime: Runtime,
) -> History:
    """Trains the text branch in place; resumes from `runtime.folder`.

    lines: of training and of validation. soft_targets: of the training lines, one by one.
    """
    torch.manual_seed(seed)
    train, validation = lines
    labels: Mapping[str, int] = model.config.label2id
    module = TextStudent(model, settings, softened_weights(train, labels)[: len(labels)])
    task = TextTask(
        module, model, tokenizer, train, validation, soft_targets, Confusions(words), settings, seed
    )
    trainer = TrainerSettings(
        epochs=settings.epochs,
        batch=settings.batch,
        learning_rate=settings.learning_rate,
        warmup=0.05,
        weight_decay=0.05,
        patience=0,
        keep="last",
    )
    return fit(task, trainer, seed, runtime)


@torch.inference_mode()
def text_predictions(
    model: EmotionModel, tokenizer: Tokenizer, lines: Sequence[Example]
) -> list[tuple[int, int]]:
    """(truth, guess) of the text-only head over the lines of the model's labels."""
    model.eval()
    labels = model.config.label2id
    named = [line for line in lines if line.emotion in labels]
    predicted: list[int] = []
    for start in range(0, len(named), 256):
        texts = [line.words for line in named[start : start + 256]]
        text = model.encode_text(collate_text(texts, tokenizer, model.config.max_tokens))
        attended = text.mask | (torch.arange(text.mask.shape[1]) == 0)
        predicted += model.text_head(model.text_pool(text.features, attended)).argmax(1).tolist()
    return [(labels[line.emotion], predicted) for line, predicted in zip(named, predicted, strict=True)]
