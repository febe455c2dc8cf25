"""What becomes of an encoder's layers: shallow ones carry prosody, deep ones words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor, nn

_FARTHEST: Final = 8.0
"""Deviations from the mean: a voice that was never heard before may not run away with the projection."""


class LayerMix(nn.Module):
    """Softmax-weighted sum over a network's layers."""

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(layers))

    def forward(self, hidden: Sequence[Tensor]) -> Tensor:
        """hidden: L tensors (B, T, H) -> (B, T, H)."""
        share = self.weights.softmax(0)
        mixed = share[0] * hidden[0]
        for weight, layer in zip(share[1:], hidden[1:], strict=True):
            mixed = mixed + weight * layer
        return mixed


class LayerConcat(nn.Module):
    """Chosen layers side by side, each dimension standardised, then projected frame by frame.

    A weighted sum lets the few dimensions with the largest values speak for all, and what one layer has and
    another has not is lost in it. mean, scale: (L', H), of the frames that are trained on; see `standardise`.
    They, and what is standardised by them, are float32 whatever the precision of the weights: a dimension may
    lie a hundred deviations away from zero.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, chosen: Sequence[int], hidden: int, width: int, dropout: float) -> None:
        """chosen: numbers of layers, 0 what enters the first one. hidden: H. width: of the result."""
        super().__init__()
        self.chosen = tuple(chosen)
        self.register_buffer("mean", torch.zeros(len(self.chosen), hidden))
        self.register_buffer("scale", torch.ones(len(self.chosen), hidden))
        self.project = nn.Sequential(
            nn.Dropout(dropout), nn.Linear(len(self.chosen) * hidden, width), nn.GELU()
        )

    def forward(self, hidden: Sequence[Tensor]) -> Tensor:
        """hidden: L tensors (B, T, H) -> (B, T, width)."""
        layers = [
            ((hidden[layer].float() - mean) / scale).clamp(-_FARTHEST, _FARTHEST)
            for layer, mean, scale in zip(self.chosen, self.mean, self.scale, strict=True)
        ]
        standing = torch.cat(layers, dim=-1).to(next(self.project.parameters()).dtype)
        projected: Tensor = self.project(standing)
        return projected

    @torch.no_grad()
    def standardise(self, mean: Tensor, deviation: Tensor) -> None:
        """mean, deviation: (L, H), of all layers' states over the frames that are trained on."""
        rows = list(self.chosen)
        self.mean.copy_(mean[rows])
        self.scale.copy_(deviation[rows] + 1e-3)
