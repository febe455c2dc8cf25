"""Discriminators: one score for every pair of an audio and a text code of a batch.

Both discriminators map audio (Ba, A) and text (Bt, T) to scores (Ba, Bt); a high s_ij means that a_i and t_j
carry one emotion. They exist in training only and are no part of a checkpoint.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from ..errors import SettingsError

DiscriminatorName = Literal["cosine", "mlp"]


@dataclass(frozen=True, slots=True)
class DiscriminatorSize:
    """audio, text: widths of the codes. hidden: of the layers behind them."""

    audio: int
    text: int
    hidden: int


class CosineDiscriminator(nn.Module):
    """s_ij = cos(g_a(a_i), g_t(t_j)) / tau + b, with g of two layers, tau and b learned: separable."""

    def __init__(self, size: DiscriminatorSize) -> None:
        super().__init__()
        self.audio = _two_layers(size.audio, size.hidden)
        self.text = _two_layers(size.text, size.hidden)
        self.log_scale = nn.Parameter(torch.tensor(2.0))
        self.bias = nn.Parameter(torch.tensor(0.0))

    def forward(self, audio: Tensor, text: Tensor) -> Tensor:
        """audio: (Ba, A), text: (Bt, T) -> (Ba, Bt)."""
        audio = nn.functional.normalize(self.audio(audio), dim=1)
        text = nn.functional.normalize(self.text(text), dim=1)
        scores: Tensor = audio @ text.T * self.log_scale.exp() + self.bias
        return scores


class MLPDiscriminator(nn.Module):
    """s_ij = w · GELU(V GELU(U [a_i; t_j])), biases left out here: free to weigh how the two sides interact.

    The first layer is applied to each side and added, which is the same and avoids the (Ba Bt, 2 D) copies;
    the hidden layers are (Ba, Bt, D), so cost grows with the square of the batch.
    """

    def __init__(self, size: DiscriminatorSize) -> None:
        super().__init__()
        hidden = size.hidden
        self.audio = nn.Linear(size.audio, hidden)
        self.text = nn.Linear(size.text, hidden, bias=False)
        self.pair = nn.Sequential(nn.GELU(), nn.Linear(hidden, hidden), nn.GELU(), nn.Linear(hidden, 1))

    def forward(self, audio: Tensor, text: Tensor) -> Tensor:
        """audio: (Ba, A), text: (Bt, T) -> (Ba, Bt)."""
        hidden = self.audio(audio)[:, None] + self.text(text)[None]  # (Ba, Bt, D)
        scores: Tensor = self.pair(hidden)[..., 0]
        return scores


def make_discriminator(name: DiscriminatorName, size: DiscriminatorSize) -> nn.Module:
    """Raises SettingsError for an unknown name."""
    if name == "cosine":
        return CosineDiscriminator(size)
    if name == "mlp":
        return MLPDiscriminator(size)
    raise SettingsError(f"discriminator: expected cosine or mlp, got {name!r}: choose one of them")


def _two_layers(inner: int, hidden: int) -> nn.Module:
    return nn.Sequential(nn.Linear(inner, hidden), nn.GELU(), nn.Linear(hidden, hidden))
