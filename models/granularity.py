"""Phone-, syllable- and word-level features: the frames inside each span, pooled to one vector.

Source: Zhao, Wang, Wang, arXiv 2207.04697, where the spans come from forced alignment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .emotion_fields import SpanPoolingName


@dataclass(frozen=True, slots=True)
class SpanBatch:
    """Spans of one granularity. bounds: (B, S, 2) int64 samples [start, end); mask: (B, S); S >= 1."""

    bounds: Tensor
    mask: Tensor

    def to(self, device: torch.device) -> SpanBatch:
        return SpanBatch(self.bounds.to(device), self.mask.to(device))


Spans = Mapping[str, SpanBatch]
"""Granularity -> its spans, for every granularity except frames, which need none."""


def frames_inside(spans: SpanBatch, centres: Tensor, frame_mask: Tensor, step: int) -> Tensor:
    """Which frames belong to which span: (B, S, T) bool.

    centres: (T,) samples, `step` apart; frame_mask: (B, T). A frame belongs to every span that contains its
    centre, so overlapping spans share frames. A span too short to contain a centre gets the nearest frame
    if that is within one step of its middle. Empty spans, spans past the audio, and padding have none.
    """
    start, end = spans.bounds[..., :1], spans.bounds[..., 1:]  # (B, S, 1)
    valid = (spans.mask[..., None] & (start < end)) & frame_mask[:, None]  # (B, S, T)
    inside = valid & (centres >= start) & (centres < end)
    distance = (centres * 2 - (start + end - 1)).abs()  # (B, S, T), twice the distance to the middle
    distance = distance.masked_fill(~valid, torch.iinfo(distance.dtype).max)
    closest = torch.zeros_like(inside).scatter(2, distance.argmin(2, keepdim=True), True)
    return inside | (closest & valid & (distance <= 2 * step) & ~inside.any(2, keepdim=True))


class SpanPooling(nn.Module):
    """Pools frames to one vector per span: their mean, or a mean weighted by a learned score."""

    def __init__(self, width: int, how: SpanPoolingName) -> None:
        super().__init__()
        self.score = None if how == "mean" else nn.Linear(width, 1)

    def forward(self, frames: Tensor, inside: Tensor) -> tuple[Tensor, Tensor]:
        """frames: (B, T, D); inside: (B, S, T) bool -> (B, S, D), zero where a span has no frame, and which
        spans have one (B, S)."""
        occupied = inside.any(2)
        if self.score is None:
            share = inside.to(frames.dtype)
            share = share / share.sum(2, keepdim=True).clamp(min=1.0)
        else:
            scores = self.score(frames).transpose(1, 2).expand(inside.shape)  # (B, S, T)
            # The softmax of a span without frames is undefined: give it all frames here and zero it below.
            share = scores.masked_fill(~inside & occupied[..., None], -torch.inf).softmax(2)
            share = share * occupied[..., None]
        return share @ frames, occupied
