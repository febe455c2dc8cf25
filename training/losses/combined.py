"""The loss of a training step: (1 - alpha) CE + alpha L_CR."""

from __future__ import annotations

from torch import Tensor, nn

from ..errors import SettingsError
from .contrastive import ContrastiveLoss, ContrastiveLossName
from .discriminator import DiscriminatorName, DiscriminatorSize


class CombinedLoss(nn.Module):
    """(1 - alpha) CE + alpha L_CR, 0 <= alpha < 1 (Qian and Han, arXiv 2211.10885).

    alpha = 0 is the baseline: without a discriminator, its parameters and its cost. Raises SettingsError for
    an alpha out of range and for an unknown name.
    """

    def __init__(
        self,
        alpha: float,
        kind: ContrastiveLossName,
        size: DiscriminatorSize,
        discriminator: DiscriminatorName = "cosine",
    ) -> None:
        super().__init__()
        if not 0.0 <= alpha < 1.0:  # also refuses NaN
            raise SettingsError(
                f"alpha: expected at least 0 and below 1, got {alpha}: 0 is the cross entropy alone, "
                f"1 would leave nothing that learns the labels"
            )
        self.alpha = alpha
        self.contrastive = ContrastiveLoss(kind, size, discriminator) if alpha > 0.0 else None

    def forward(
        self,
        cross_entropy: Tensor,
        audio_embeddings: Tensor,
        text_embeddings: Tensor,
        audio_labels: Tensor,
        text_labels: Tensor,
    ) -> dict[str, Tensor]:
        """Named scalars: `loss`, which is minimised, and its parts.

        cross_entropy: a scalar. Codes and labels: as `ContrastiveLoss` takes them.
        """
        if self.contrastive is None:
            return {"loss": cross_entropy, "cross_entropy": cross_entropy}
        contrastive = self.contrastive(audio_embeddings, text_embeddings, audio_labels, text_labels)
        return {
            "loss": (1.0 - self.alpha) * cross_entropy + self.alpha * contrastive,
            "cross_entropy": cross_entropy,
            "contrastive": contrastive,
        }
