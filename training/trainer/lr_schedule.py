"""The learning rate: its schedule over the steps, and a rate of its own for each layer of an encoder."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR
from transformers import get_wsd_schedule

from emostream.models.encoders.base import Encoder


def warmup_linear_decay(optimizer: Optimizer, steps: int, warmup: float) -> LambdaLR:
    """Rises linearly over the share `warmup` of the steps, then falls linearly: with W warm-up steps of N,
    to 1/W of the rate in the first, 1 in the W-th and the next, 1/(N - W) in the last.
    """
    warmup_steps = max(1, int(warmup * steps))
    for group in optimizer.param_groups:
        group["initial_lr"] = group["lr"]
    # The schedule begins at its step 1: at its step 0 the rate is 0, and nothing would be learned.
    schedule: LambdaLR = get_wsd_schedule(
        optimizer,
        num_warmup_steps=warmup_steps,
        num_stable_steps=1,
        num_decay_steps=steps - warmup_steps,
        decay_type="linear",
        last_epoch=0,
    )
    return schedule


def layerwise_lr_groups(encoder: Encoder, rate: float, decay: float) -> list[dict[str, object]]:
    """Groups of an encoder's trainable parameters: the uppermost layer's rate is `rate`, each one below has
    `decay` times that of the one above.

    The front end counts as one layer; the mix of the layers, which is new, is left out. Source:
    discriminative fine-tuning, Howard and Ruder, arXiv 1801.06146.
    """
    stages = encoder.stages()
    seen = {id(weights) for weights in encoder.mix.parameters()}
    groups = []
    for depth, modules in reversed(list(enumerate(stages))):
        groups.append(_group(modules, rate * decay ** (len(stages) - 1 - depth), seen))
    # What is in no stage (a norm after the last layer) gets the rate of the top.
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
