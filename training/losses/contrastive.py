"""Contrastive regularization: which audio and which text of a batch carry the same emotion?

After Qian and Han, arXiv 2211.10885, by labels: a pair is positive where both sides are of one emotion,
wherever in the batch they are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from ..errors import SettingsError
from .bce import pair_bce
from .discriminator import DiscriminatorName, DiscriminatorSize, make_discriminator
from .infonce import info_nce
from .mine import MINELoss

ContrastiveLossName = Literal["bce", "infonce", "mine"]
PairLoss = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Scores (Ba, Bt), audio labels (Ba,), text labels (Bt,) -> what is minimised, a scalar."""


class ContrastiveLoss(nn.Module):
    """L_CR: a discriminator, and a loss on its scores of all pairs.

    kind: bce (`pair_bce`), infonce (`info_nce`) or mine (`MINELoss`). Raises SettingsError for an unknown
    name.
    """

    def __init__(
        self, kind: ContrastiveLossName, size: DiscriminatorSize, discriminator: DiscriminatorName = "cosine"
    ) -> None:
        super().__init__()
        self.discriminator = make_discriminator(discriminator, size)
        self.loss = _pair_loss(kind)

    def forward(
        self, audio_embeddings: Tensor, text_embeddings: Tensor, audio_labels: Tensor, text_labels: Tensor
    ) -> Tensor:
        """embeddings: (Ba, A), (Bt, T), of rows that have that modality; labels: (Ba,), (Bt,) integers.

        Ba and Bt may differ and may be 0. With several processes: the gathered rows (`all_gather_rows`). The
        scalar is finite for finite embeddings; a term for which the batch has no pair is 0 without gradient.
        Computed in the discriminator's own precision whatever the caller's autocast dtype: a cosine over a
        temperature has too few digits in bfloat16.
        """
        dtype = next(self.discriminator.parameters()).dtype
        with torch.autocast(audio_embeddings.device.type, enabled=False):
            scores = self.discriminator(audio_embeddings.to(dtype), text_embeddings.to(dtype))
            return self.loss(scores, audio_labels, text_labels)


def _pair_loss(kind: ContrastiveLossName) -> PairLoss:
    if kind == "bce":
        return pair_bce
    if kind == "infonce":
        return info_nce
    if kind == "mine":
        return MINELoss()
    raise SettingsError(
        f"contrastive objective: expected bce, infonce or mine, got {kind!r}: choose one of them"
    )
