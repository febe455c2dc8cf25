"""MINE: a lower bound of the mutual information of audio and text, maximised."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

CLIP: Final = 10.0
"""No score stands for a ratio of more than e^10 : 1."""


class MINELoss(nn.Module):
    """-( mean_P s - log mean e^s ): the Donsker-Varadhan bound in nats, its sign turned to be minimised.

    P are the pairs of one emotion. The second mean is over all Ba Bt pairs, the product of the marginals: so
    the bound never exceeds log(Ba Bt / |P|) of the batch, whatever the critic's scores. With pairs of
    different emotions alone it would be no bound, and diverge to twice the clip. An emotion counts by its
    pairs, the square of its share: the mutual information proper is bounded where emotions are balanced.

    Scores enter as 10 tanh(s / 10). It holds them in [-10, 10] as cutting would, but leaves every score a
    gradient: a critic that was cut off on both sides would never move again.

    In the gradient of the logarithm, E[s' e^s] / E[e^s], a batch's own denominator makes a biased estimate;
    a moving average over batches stands there instead. The value is the plain bound's.

    average: the moving average of mean e^s, a buffer, so that it is saved and resumed; 0 before the first
    batch, which sets it. It moves in training only. Several processes agree on it if all get the same
    scores, those of the gathered rows.

    Belghazi et al., arXiv 1801.04062, section 3.2.
    """

    average: Tensor

    def __init__(self, rate: float = 0.1) -> None:
        """rate: the weight of the newest batch in the moving average."""
        super().__init__()
        self.rate = rate
        self.register_buffer("average", torch.zeros(()))

    def forward(self, scores: Tensor, audio_labels: Tensor, text_labels: Tensor) -> Tensor:
        """scores: (Ba, Bt). 0 without a pair of one emotion; the average then stays as it is."""
        same = audio_labels[:, None] == text_labels[None, :]
        if not bool(same.any()):
            return scores.sum() * 0.0
        clipped = CLIP * torch.tanh(scores / CLIP)
        marginal = clipped.exp().mean()
        ratio = marginal / self._update_average(marginal.detach())
        log_marginal = marginal.detach().log() + (ratio - ratio.detach())  # value and gradient apart
        return log_marginal - clipped[same].mean()

    def _update_average(self, marginal: Tensor) -> Tensor:
        """The moving average with this batch in it."""
        if not self.training:
            return torch.where(self.average == 0, marginal, self.average)
        moved = torch.where(self.average == 0, marginal, self.average.lerp(marginal, self.rate))
        self.average.copy_(moved)
        return moved
