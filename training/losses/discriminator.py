"""Discriminators: one score for every pair of an audio and a text embedding of a batch.

Both discriminators map audio (Ba, D) and text (Bt, D) to scores (Ba, Bt); a high s_ij means that a_i and t_j
carry one emotion. They exist in training only and are no part of a checkpoint.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from ..errors import SettingsError

DiscriminatorName = Literal["cosine", "mlp"]


class CosineDiscriminator(nn.Module):
    """s_ij = cos(g_a(a_i), g_t(t_j)) / tau + b, with g of two layers, tau and b learned."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.audio = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, width))
        self.text = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, width))
        self.log_scale = nn.Parameter(torch.tensor(2.0))
        self.bias = nn.Parameter(torch.tensor(0.0))

    def forward(self, audio: Tensor, text: Tensor) -> Tensor:
        """audio: (Ba, D), text: (Bt, D) -> (Ba, Bt)."""
        audio = nn.functional.normalize(self.audio(audio), dim=1)
        text = nn.functional.normalize(self.text(text), dim=1)
        scores: Tensor = audio @ text.T * self.log_scale.exp() + self.bias
        return scores


class MLPDiscriminator(nn.Module):
    """s_ij = w · GELU(V GELU(U [a_i; t_j])), biases left out here: free to weigh how the two sides interact.

    The first layer is applied to each side and added, which is the same and avoids the (Ba Bt, 2 D) copies;
    the hidden layers are (Ba, Bt, D), so cost grows with the square of the batch.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.audio = nn.Linear(width, width)
        self.text = nn.Linear(width, width, bias=False)
        self.pair = nn.Sequential(nn.GELU(), nn.Linear(width, width), nn.GELU(), nn.Linear(width, 1))

    def forward(self, audio: Tensor, text: Tensor) -> Tensor:
        """audio: (Ba, D), text: (Bt, D) -> (Ba, Bt)."""
        hidden = self.audio(audio)[:, None] + self.text(text)[None]  # (Ba, Bt, D)
        scores: Tensor = self.pair(hidden)[..., 0]
        return scores


def make_discriminator(name: DiscriminatorName, width: int) -> nn.Module:
    """width: of the embeddings. Raises SettingsError for an unknown name."""
    if name == "cosine":
        return CosineDiscriminator(width)
    if name == "mlp":
        return MLPDiscriminator(width)
    raise SettingsError(f"discriminator: expected cosine or mlp, got {name!r}: choose one of them")
