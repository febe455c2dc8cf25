"""The network and its loss, as one module: what runs inside every process."""

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
    """Cross entropy of every head that has something to go by, and contrastive regularization.

    The losses are those of the whole batch, over all processes: logits, codes and labels are gathered first.
    """

    def __init__(
        self, model: EmotionModel, contrastive: ContrastiveSettings, label_smoothing: float = 0.0
    ) -> None:
        super().__init__()
        self.model = model
        self.total = CombinedLoss(contrastive.alpha, contrastive.objective, model.config.width)
        self._smoothing = label_smoothing

    def forward(self, batch: EmotionBatch) -> Losses:
        output = forward(self.model, batch)
        counts = all_gather_row_counts(batch.labels)
        counted, labels = all_gather_rows(batch.counted, counts), all_gather_rows(batch.labels, counts)
        heard = all_gather_rows(batch.audio.present, counts) & counted
        read = all_gather_rows(batch.text.present, counts) & counted
        logits = {head: all_gather_rows(values, counts) for head, values in output.logits().items()}
        entropy = self._cross_entropy(logits, labels, {"early": counted, "audio": heard, "text": read})
        audio, text = (
            all_gather_rows(output.audio_embedding, counts),
            all_gather_rows(output.text_embedding, counts),
        )
        losses: Losses = self.total(entropy, audio[heard], text[read], labels[heard], labels[read])
        return losses

    def _cross_entropy(
        self, logits: Mapping[str, Tensor], labels: Tensor, informed: Mapping[str, Tensor]
    ) -> Tensor:
        """The sum over the heads of each one's mean over the rows that it has something to go by in."""
        terms = []
        for head, values in logits.items():
            targets = nn.functional.one_hot(labels, values.shape[1]) * informed[head][:, None]
            terms.append(soft_cross_entropy(values.float(), targets.float(), self._smoothing))
        return torch.stack(terms).sum()


def forward(model: EmotionModel, batch: EmotionBatch) -> EmotionOutput:
    """A batch through encoders, or what they said, and everything behind them."""
    return model.fuse(encode_audio(model, batch.audio), encode_text(model, batch.text), batch.spans)
