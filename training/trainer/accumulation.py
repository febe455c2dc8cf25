"""The gradient of a whole batch, computed in parts that fit into memory.

A loss over pairs of examples is no mean of the parts' losses: the pairs between parts would be lost. So the
outputs of all parts are computed first, without their graphs; the loss of all of them and its gradient with
respect to these outputs; then every part's outputs once more, with a graph, through which its own rows of
that gradient are passed back. Source: Gao, Zhang, Han and Callan, arXiv 2101.06983 (gradient cache).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch
from accelerate import Accelerator
from torch import Tensor

from ..errors import SettingsError
from .task import Batch, Losses

T = TypeVar("T")


@runtime_checkable
class DivisibleModule(Protocol):
    """A module whose losses are a function of outputs that have a row for each example."""

    def outputs(self, batch: Any) -> dict[str, Tensor]: ...

    def losses(self, outputs: Mapping[str, Tensor]) -> Losses: ...


def check_divisible(module: object, accumulation: int, processes: int) -> None:
    """Raises SettingsError where batches cannot be computed in so many parts."""
    if accumulation == 1:
        return
    if processes > 1:
        raise SettingsError(
            f"expected one process where accumulation is {accumulation}, got {processes}: set accumulation "
            "to 1, each process computes a part of the batch already"
        )
    if not isinstance(module, DivisibleModule):
        raise SettingsError(
            f"expected accumulation = 1, got {accumulation}: {type(module).__name__} computes its loss at "
            "once"
        )


def divide(items: Sequence[T], parts: int) -> list[Sequence[T]]:
    """Consecutive parts of nearly equal size, none of them empty."""
    count = min(parts, len(items))
    bounds = [len(items) * part // count for part in range(count + 1)]
    return [items[start:end] for start, end in pairwise(bounds)]


def backward_in_parts(
    module: DivisibleModule, parts: Sequence[Batch], accelerator: Accelerator, seed: Callable[[int], None]
) -> Losses:
    """Adds the gradient of the whole batch's loss to the weights; the losses of the whole batch.

    seed: called with a part's number before each of its two forward passes, so that dropout is the same.
    """

    def outputs_of(number: int) -> dict[str, Tensor]:
        seed(number)
        with accelerator.autocast():
            return module.outputs(parts[number])

    with torch.no_grad():
        computed = [outputs_of(number) for number in range(len(parts))]
    whole = {name: torch.cat([outputs[name] for outputs in computed]) for name in computed[0]}
    for values in whole.values():
        values.requires_grad_(values.is_floating_point())
    with accelerator.autocast():
        losses = module.losses(whole)
    accelerator.backward(losses["loss"])
    start = 0
    for number in range(len(parts)):
        outputs = outputs_of(number)
        end = start + len(next(iter(outputs.values())))
        through = [
            (values, gradient[start:end])
            for name, values in outputs.items()
            if values.requires_grad and (gradient := whole[name].grad) is not None
        ]
        torch.autograd.backward([values for values, _ in through], [gradient for _, gradient in through])
        start = end
    return losses
