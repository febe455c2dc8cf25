"""The network and its losses as one module, which runs inside every training process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor, nn

from emostream.models.emotion import EmotionModel, EmotionOutput

from ..losses.all_gather import all_gather_row_counts, all_gather_rows
from ..losses.combined import CombinedLoss
from ..losses.cross_entropy import soft_cross_entropy
from ..losses.discriminator import DiscriminatorSize
from ..trainer.task import Losses
from .collator import EmotionBatch, encode_audio, encode_text
from .settings import ContrastiveSettings

_LOGITS: Final = "logits."


class EmotionTrainingModule(nn.Module):
    """Cross entropy, the mean over the heads, and contrastive regularization of what these heads read.

    The losses are those of the whole batch over all processes: logits, codes and labels are gathered first.
    """

    def __init__(
        self, model: EmotionModel, contrastive: ContrastiveSettings, label_smoothing: float = 0.0
    ) -> None:
        super().__init__()
        self.model = model
        size = DiscriminatorSize(*model.code_sizes, hidden=model.config.width)
        self.total = CombinedLoss(contrastive.alpha, contrastive.objective, size, contrastive.discriminator)
        self._smoothing = label_smoothing

    def forward(self, batch: EmotionBatch) -> Losses:
        return self.losses(self.outputs(batch))

    def outputs(self, batch: EmotionBatch) -> dict[str, Tensor]:
        """What the losses are computed of, a row for each example: by name, logits of each head as
        `logits.HEAD`.
        """
        output = forward_batch(self.model, batch)
        return {f"{_LOGITS}{head}": values for head, values in output.logits().items()} | {
            "audio_embedding": output.audio_embedding,
            "text_embedding": output.text_embedding,
            "labels": batch.labels,
            "counted": batch.counted,
            "has_audio": batch.audio.present,
            "has_text": batch.text.present,
        }

    def losses(self, outputs: Mapping[str, Tensor]) -> Losses:
        """Of the whole batch, over all parts that it was computed in and all processes."""
        counts = all_gather_row_counts(outputs["labels"])
        rows = {name: all_gather_rows(values, counts) for name, values in outputs.items()}
        counted, labels = rows["counted"], rows["labels"]
        has_audio, has_text = rows["has_audio"] & counted, rows["has_text"] & counted
        logits = {
            name.removeprefix(_LOGITS): values for name, values in rows.items() if name.startswith(_LOGITS)
        }
        entropy = self._cross_entropy(
            logits, labels, {"early": counted, "audio": has_audio, "text": has_text}
        )
        audio, text = rows["audio_embedding"], rows["text_embedding"]
        losses: Losses = self.total(
            entropy, audio[has_audio], text[has_text], labels[has_audio], labels[has_text]
        )
        return losses

    def _cross_entropy(
        self, logits: Mapping[str, Tensor], labels: Tensor, rows: Mapping[str, Tensor]
    ) -> Tensor:
        """The mean over the heads that decide of the mean over each head's rows. rows: head -> (B,), true
        where it has input; a head without any does not count.

        A sum would leave alpha a fraction of its nominal weight. Heads that are reported only, and share no
        weight with the others, add their gradient and not their value.
        """
        terms: dict[str, Tensor] = {}
        for head, values in logits.items():
            targets = nn.functional.one_hot(labels, values.shape[1]) * rows[head][:, None]
            terms[head] = soft_cross_entropy(values.float(), targets.float(), self._smoothing)
        deciding = self.model.config.fused_heads("both")
        counted = [terms[head] for head in deciding if bool(rows[head].any())]
        mean = torch.stack(counted or [terms[head] for head in deciding]).mean()
        for reported in (term for head, term in terms.items() if head not in deciding):
            mean = mean + (reported - reported.detach())
        return mean


def forward_batch(model: EmotionModel, batch: EmotionBatch) -> EmotionOutput:
    """Runs the batch through the encoders, or takes their precomputed states, and through everything
    behind.
    """
    return model.fuse(encode_audio(model, batch.audio), encode_text(model, batch.text), batch.spans)
