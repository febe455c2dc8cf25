"""Stage 4: trains early fusion on pairs of audio and text; all other parts are frozen.

Both encoders and both single-modality heads are frozen, so the metrics of audio only are those of the head.
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
from emostream.models.emotion import EmotionModel, EmotionOutput

from ..corpora.example import Example
from ..data.frozen_features import FrozenFeatures
from ..emotion.collator import FrozenBatch, encode_audio
from ..evaluation.metrics import unweighted_recall
from ..losses.bce import pair_bce
from ..losses.cross_entropy import soft_cross_entropy
from ..losses.discriminator import CosineDiscriminator, DiscriminatorSize
from ..trainer.batching import balanced_sample, mixed_batches
from ..trainer.history import History
from ..trainer.runtime import Runtime
from ..trainer.seeding import example_rng
from ..trainer.settings import TrainerSettings
from ..trainer.task import Losses
from ..trainer.trainer import fit
from .pairs import AudioTextPair, PairSampler
from .settings import FusionSettings


@dataclass(frozen=True, slots=True)
class PairBatch:
    """targets: (B, C) of the fused heads. audio_labels, text_labels: (B,), -1 where the modality is
    absent.
    """

    audio: FrozenBatch
    text: TextBatch
    targets: Tensor
    audio_labels: Tensor
    text_labels: Tensor

    def to(self, device: torch.device) -> PairBatch:
        parts = (part.to(device) for part in (self.targets, self.audio_labels, self.text_labels))
        return PairBatch(self.audio.to(device), self.text.to(device), *parts)


class FusionModule(nn.Module):
    """The model with its training loss, and the discriminator that only training needs."""

    def __init__(self, model: EmotionModel, settings: FusionSettings) -> None:
        super().__init__()
        self.model = model
        self.discriminator = CosineDiscriminator(
            DiscriminatorSize(*model.code_sizes, hidden=model.config.width)
        )
        self._settings = settings

    def forward(self, batch: PairBatch) -> Losses:
        """(1 - alpha) CE of early fusion + alpha BCE over the batch's audio/text pairs."""
        output = forward_pairs(self.model, batch)
        assert output.early is not None
        entropy = soft_cross_entropy(output.early.float(), batch.targets, self._settings.label_smoothing)
        has_audio, has_text = batch.audio_labels >= 0, batch.text_labels >= 0
        scores = self.discriminator(output.audio_embedding[has_audio], output.text_embedding[has_text])
        contrast = pair_bce(scores, batch.audio_labels[has_audio], batch.text_labels[has_text])
        alpha = self._settings.contrastive_alpha
        return {
            "loss": (1.0 - alpha) * entropy + alpha * contrast,
            "cross_entropy": entropy,
            "contrast": contrast,
        }


def forward_pairs(model: EmotionModel, batch: PairBatch) -> EmotionOutput:
    """Runs everything behind the frozen audio encoder."""
    return model.fuse(encode_audio(model, batch.audio), model.encode_text(batch.text))


@dataclass(frozen=True, slots=True)
class FusionData:
    """train: clips of training speakers only. validation: reported after each epoch; nothing is chosen by it.

    audio_features: of all of them. labels: key -> label index. sampler, validation_sampler: of texts of the
    same split.
    """

    train: Sequence[Example]
    validation: Sequence[Example]
    audio_features: FrozenFeatures
    labels: Mapping[str, int]
    sampler: PairSampler
    validation_sampler: PairSampler
    tokenizer: Tokenizer


@dataclass(frozen=True, slots=True)
class FusionTask:
    """Early fusion as a `trainer.Task`."""

    module: FusionModule
    data: FusionData
    settings: FusionSettings
    seed: int

    def parameter_groups(self) -> list[dict[str, object]]:
        trainable = [weights for weights in self.module.parameters() if weights.requires_grad]
        return [{"params": trainable, "lr": self.settings.learning_rate}]

    def epoch_batches(self, epoch: int) -> list[list[int]]:
        """Every corpus and label equally often."""
        rng = np.random.default_rng([self.seed, 3, epoch])
        train, labels = self.data.train, self.data.labels
        drawn = balanced_sample([(example.corpus, labels[example.key]) for example in train], rng)
        lengths = [self.data.audio_features.views[train[row].key][0].frames for row in drawn]
        plan = mixed_batches([labels[train[row].key] for row in drawn], lengths, self.settings.batch, rng)
        return [[drawn[index] for index in batch] for batch in plan]

    def make_batch(self, items: Sequence[int], counted: Sequence[bool], epoch: int) -> PairBatch:
        """Runs in one process, so every item is in the loss."""
        pairs, sounds = [], []
        for item in items:
            example = self.data.train[item]
            rng = example_rng(self.seed, epoch, example.key)
            pairs.append(self.data.sampler.draw(example, rng))
            views = len(self.data.audio_features.views[example.key])
            sounds.append(self._sampled_frames(example, int(rng.integers(views)), rng))
        return self._collate(pairs, sounds)

    def _sampled_frames(self, example: Example, view: int, rng: np.random.Generator) -> Tensor:
        """(L, T, H): a random subset of the frames, in order."""
        states, _ = self.data.audio_features.view(example.key, view)
        if states.shape[1] <= self.settings.frames_per_clip:
            return states
        drawn = np.sort(rng.choice(states.shape[1], self.settings.frames_per_clip, replace=False))
        return states[:, torch.from_numpy(drawn)]

    def validate(self, process: int, processes: int) -> list[tuple[str, int, int]]:
        """Predictions for each unmodified validation clip, with a neutral line and with one of its label."""
        predictions = []
        for name, draw in (
            ("neutral", self.data.validation_sampler.neutral),
            ("matched", self.data.validation_sampler.matched),
        ):
            examples = self.data.validation[process::processes]
            for start in range(0, len(examples), 32):
                part = examples[start : start + 32]
                pairs = [draw(example, example_rng(self.seed, 0, example.key)) for example in part]
                sounds = [self.data.audio_features.view(example.key, 0)[0] for example in part]
                with torch.inference_mode():
                    output = forward_pairs(self.module.model, self._collate(pairs, sounds))
                assert output.early is not None
                predicted = output.early.argmax(1).tolist()
                predictions += [
                    (name, self.data.labels[e.key], g) for e, g in zip(part, predicted, strict=True)
                ]
        return predictions

    def metrics(self, predictions: Sequence[Any]) -> dict[str, float]:
        """ua: of early fusion, neutral and matched text together. The latter is inflated."""
        metrics = {}
        for name, kinds in (
            ("ua", {"neutral", "matched"}),
            ("neutral", {"neutral"}),
            ("matched", {"matched"}),
        ):
            part = [(truth, predicted) for kind, truth, predicted in predictions if kind in kinds]
            metrics[name] = unweighted_recall(
                [truth for truth, _ in part], [predicted for _, predicted in part]
            )
        return metrics

    def _collate(self, pairs: Sequence[AudioTextPair], sounds: Sequence[Tensor]) -> PairBatch:
        model = self.module.model
        rows = [None if pair.example is None else sound for pair, sound in zip(pairs, sounds, strict=True)]
        return PairBatch(
            FrozenBatch.from_rows(rows, model.audio_encoder.states, model.audio_encoder.state_size),
            collate_text([pair.text for pair in pairs], self.data.tokenizer, model.config.max_tokens),
            torch.tensor([pair.target for pair in pairs]),
            torch.tensor([-1 if pair.audio_label is None else pair.audio_label for pair in pairs]),
            torch.tensor([-1 if pair.text_label is None else pair.text_label for pair in pairs]),
        )


def train_fusion(
    model: EmotionModel, data: FusionData, settings: FusionSettings, seed: int, runtime: Runtime
) -> History:
    """Trains early fusion in place; resumes from `runtime.folder`."""
    torch.manual_seed(seed)
    for encoder in (model.audio_encoder, model.text_encoder):
        encoder.freeze_modules([encoder.backbone, encoder.mix])
    for part in (model.audio_pool, model.audio_head, model.text_pool, model.text_head):
        part.requires_grad_(False)
    trainer = TrainerSettings(
        epochs=settings.epochs,
        batch=settings.batch,
        learning_rate=settings.learning_rate,
        weight_decay=0.02,
        clip_norm=1.0,
        patience=0,
        keep="last",
        average_decay=settings.average_decay,
    )
    return fit(FusionTask(FusionModule(model, settings), data, settings, seed), trainer, seed, runtime)
