"""Combination of an encoder's layers, of which shallow ones carry prosody and deep ones words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor, nn

_MAX_DEVIATIONS: Final = 8.0
"""Standardised values are clipped here, so that outliers of an unseen voice do not dominate the
projection."""


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
    """Chosen layers concatenated, each dimension standardised, then projected frame by frame.

    A weighted sum is dominated by the few dimensions with the largest values, and information that only one
    layer has is lost in it. mean, scale: (L', H), of the training frames; see `standardise`. They, and the
    standardisation, are float32 regardless of the weights' precision: the mean of a dimension may be a
    hundred deviations away from zero.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, chosen: Sequence[int], hidden: int, width: int, dropout: float) -> None:
        """chosen: layer numbers, 0 is the input of the first layer. hidden: H. width: of the output."""
        super().__init__()
        self.chosen = tuple(chosen)
        self.register_buffer("mean", torch.zeros(len(self.chosen), hidden))
        self.register_buffer("scale", torch.ones(len(self.chosen), hidden))
        self.project = nn.Sequential(
            nn.Dropout(dropout), nn.Linear(len(self.chosen) * hidden, width), nn.GELU()
        )

    def forward(self, hidden: Sequence[Tensor]) -> Tensor:
        """hidden: L tensors (B, T, H) -> (B, T, width)."""
        return self.activate(self.apply_linear(self.standardised(hidden)))

    def standardised(self, hidden: Sequence[Tensor]) -> Tensor:
        """hidden: L tensors (B, T, H) -> (B, T, L' H) float32, in deviations from the training mean."""
        layers = [
            ((hidden[layer].float() - mean) / scale).clamp(-_MAX_DEVIATIONS, _MAX_DEVIATIONS)
            for layer, mean, scale in zip(self.chosen, self.mean, self.scale, strict=True)
        ]
        return torch.cat(layers, dim=-1)

    def apply_linear(self, standardised: Tensor) -> Tensor:
        """(B, T, L' H) -> (B, T, width), before the activation."""
        dropout, linear, _ = self.project
        assert isinstance(linear, nn.Linear)
        projected: Tensor = linear(dropout(standardised.to(linear.weight.dtype)))
        return projected

    def with_mean(self, hidden: Sequence[Tensor], mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """hidden: L tensors (B, T, H); mask: (B, T), None: no frame is padding -> (B, T, width) before the
        activation, and (B, L' H), the mean over time of the standardised states.
        """
        standardised = self.standardised(hidden)
        mean = standardised.mean(1) if mask is None else masked_mean(standardised, mask)
        return self.apply_linear(standardised), mean

    def shift(self, baseline: Tensor) -> Tensor:
        """What `baseline` (B, L' H), subtracted from the standardised states, takes from `apply_linear`'s
        result: (B, width). The projection is linear, so this needs no states.
        """
        linear = self.project[1]
        assert isinstance(linear, nn.Linear)
        return baseline.to(linear.weight.dtype) @ linear.weight.T

    def activate(self, projected: Tensor) -> Tensor:
        """The activation that follows `apply_linear`."""
        activated: Tensor = self.project[2](projected)
        return activated

    @torch.no_grad()
    def standardise(self, mean: Tensor, deviation: Tensor) -> None:
        """Set the statistics. mean, deviation: (L, H), of all layers' states over the training frames."""
        rows = list(self.chosen)
        self.mean.copy_(mean[rows])
        self.scale.copy_(deviation[rows] + 1e-3)


def masked_mean(x: Tensor, mask: Tensor) -> Tensor:
    """(B, T, D), (B, T) -> (B, D); zero in a row without a valid place."""
    weight = mask[..., None].to(x.dtype)
    return (x * weight).sum(1) / weight.sum(1).clamp(min=1.0)
