"""The network and its losses as one module, which runs inside every training process."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from emostream.models.emotion import EmotionModel, EmotionOutput

from ..losses.all_gather import all_gather_row_counts, all_gather_rows
from ..losses.combined import CombinedLoss
from ..losses.cross_entropy import soft_cross_entropy
from ..trainer.task import Losses
from .collator import EmotionBatch, encode_audio, encode_text
from .settings import ContrastiveSettings


class EmotionTrainingModule(nn.Module):
    """Cross entropy of every head over the rows that have its modality, and contrastive regularization.

    The losses are those of the whole batch over all processes: logits, codes and labels are gathered first.
    """

    def __init__(
        self, model: EmotionModel, contrastive: ContrastiveSettings, label_smoothing: float = 0.0
    ) -> None:
        super().__init__()
        self.model = model
        self.total = CombinedLoss(contrastive.alpha, contrastive.objective, model.config.width)
        self._smoothing = label_smoothing

    def forward(self, batch: EmotionBatch) -> Losses:
        output = forward_batch(self.model, batch)
        counts = all_gather_row_counts(batch.labels)
        counted, labels = all_gather_rows(batch.counted, counts), all_gather_rows(batch.labels, counts)
        has_audio = all_gather_rows(batch.audio.present, counts) & counted
        has_text = all_gather_rows(batch.text.present, counts) & counted
        logits = {head: all_gather_rows(values, counts) for head, values in output.logits().items()}
        entropy = self._cross_entropy(
            logits, labels, {"early": counted, "audio": has_audio, "text": has_text}
        )
        audio, text = (
            all_gather_rows(output.audio_embedding, counts),
            all_gather_rows(output.text_embedding, counts),
        )
        losses: Losses = self.total(
            entropy, audio[has_audio], text[has_text], labels[has_audio], labels[has_text]
        )
        return losses

    def _cross_entropy(
        self, logits: Mapping[str, Tensor], labels: Tensor, rows: Mapping[str, Tensor]
    ) -> Tensor:
        """The sum over the heads of the mean over each head's rows. rows: head -> (B,), true where it has
        input.
        """
        terms = []
        for head, values in logits.items():
            targets = nn.functional.one_hot(labels, values.shape[1]) * rows[head][:, None]
            terms.append(soft_cross_entropy(values.float(), targets.float(), self._smoothing))
        return torch.stack(terms).sum()


def forward_batch(model: EmotionModel, batch: EmotionBatch) -> EmotionOutput:
    """Runs the batch through the encoders, or takes their precomputed states, and through everything
    behind.
    """
    return model.fuse(encode_audio(model, batch.audio), encode_text(model, batch.text), batch.spans)
