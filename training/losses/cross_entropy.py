"""Cross entropy against soft targets."""

from __future__ import annotations

from torch import Tensor


def soft_cross_entropy(logits: Tensor, targets: Tensor, smoothing: float) -> Tensor:
    """logits, targets: (B, C), targets sum to 1; rows that are all zero do not count."""
    counted = targets.sum(1) > 0
    if not bool(counted.any()):
        return logits.sum() * 0.0
    classes = logits.shape[1]
    smoothed = targets[counted] * (1.0 - smoothing) + smoothing / classes
    return -(smoothed * logits[counted].log_softmax(1)).sum(1).mean()
