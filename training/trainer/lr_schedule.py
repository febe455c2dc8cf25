"""The learning rate over the steps, and of the layers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import nn

from emostream.models.encoders.base import Encoder


def warmup_linear_decay(
    optimizer: torch.optim.Optimizer, steps: int, warmup: float
) -> torch.optim.lr_scheduler.LambdaLR:
    """Linear rise over the share `warmup` of the steps, then linearly to nothing."""
    rise = max(1, int(warmup * steps))

    def factor(step: int) -> float:
        return min((step + 1) / rise, max(0.0, (steps - step) / max(1, steps - rise)))

    return torch.optim.lr_scheduler.LambdaLR(optimizer, factor)


def layerwise_lr_groups(encoder: Encoder, rate: float, decay: float) -> list[dict[str, object]]:
    """Groups of an encoder's trainable parameters: the uppermost layer at `rate`, each below `decay` times.

    The front end counts as one layer; the mix of the layers, which is new, is left out. Source:
    discriminative fine-tuning, Howard and Ruder, arXiv 1801.06146.
    """
    stages = encoder.stages()
    seen = {id(weights) for weights in encoder.mix.parameters()}
    groups = []
    for depth, modules in reversed(list(enumerate(stages))):
        groups.append(_group(modules, rate * decay ** (len(stages) - 1 - depth), seen))
    # What lies in no stage (a norm behind the last layer) learns as the top does.
    groups.append(_group([encoder], rate, seen))
    return [group for group in groups if group["params"]]


def remaining_params_group(
    module: nn.Module, groups: Iterable[dict[str, object]], rate: float
) -> dict[str, object]:
    """The group of all trainable parameters that are in none of `groups`."""
    seen = {id(weights) for group in groups for weights in group["params"]}  # type: ignore[attr-defined]
    return _group([module], rate, seen)


def _group(modules: Sequence[nn.Module], rate: float, seen: set[int]) -> dict[str, object]:
    params = []
    for module in modules:
        for weights in module.parameters():
            if weights.requires_grad and id(weights) not in seen:
                seen.add(id(weights))
                params.append(weights)
    return {"params": params, "lr": rate}
