"""What a step minimises: (1 - alpha) CE + alpha L_CR."""

from __future__ import annotations

from torch import Tensor, nn

from ..errors import SettingsError
from .contrastive import ContrastiveLoss, ContrastiveLossName
from .discriminator import DiscriminatorName


class CombinedLoss(nn.Module):
    """(1 - alpha) CE + alpha L_CR, 0 <= alpha < 1 (Qian and Han, arXiv 2211.10885).

    alpha = 0 is the baseline: there is no discriminator then, no parameter of it and no cost.
    width: of the codes. Raises SettingsError for an alpha outside, and for names that are none.
    """

    def __init__(
        self, alpha: float, kind: ContrastiveLossName, width: int, discriminator: DiscriminatorName = "cosine"
    ) -> None:
        super().__init__()
        if not 0.0 <= alpha < 1.0:  # also refuses NaN
            raise SettingsError(
                f"alpha: expected at least 0 and below 1, got {alpha}: 0 is the cross entropy alone, "
                f"1 would leave nothing that learns the labels"
            )
        self.alpha = alpha
        self.contrastive = ContrastiveLoss(kind, width, discriminator) if alpha > 0.0 else None

    def forward(
        self,
        cross_entropy: Tensor,
        audio_codes: Tensor,
        text_codes: Tensor,
        audio_labels: Tensor,
        text_labels: Tensor,
    ) -> dict[str, Tensor]:
        """Named scalars: `loss`, which is minimised, and its parts.

        cross_entropy: a scalar. Codes and labels: as `ContrastiveLoss` takes them.
        """
        if self.contrastive is None:
            return {"loss": cross_entropy, "cross_entropy": cross_entropy}
        contrastive = self.contrastive(audio_codes, text_codes, audio_labels, text_labels)
        return {
            "loss": (1.0 - self.alpha) * cross_entropy + self.alpha * contrastive,
            "cross_entropy": cross_entropy,
            "contrastive": contrastive,
        }
