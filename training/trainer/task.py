"""What the trainer trains: a network with its loss, and its examples in batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, Self, TypeVar

import torch
from torch import Tensor, nn


class Batch(Protocol):
    """Tensors that move to a device together."""

    def to(self, device: torch.device) -> Self: ...


B_co = TypeVar("B_co", bound=Batch, covariant=True)


class Task(Protocol[B_co]):
    """Everything the trainer needs to know. Nothing in here depends on how many processes there are.

    module: forward(batch) -> named losses, the one called `loss` is minimised. A module that runs in several
    processes gets a share of the batch in each and computes the loss of the whole, see `losses.all_gather`.
    """

    @property
    def module(self) -> nn.Module: ...

    def parameter_groups(self) -> list[dict[str, object]]:
        """Parameter groups for the optimizer, each with its `params` and `lr`."""
        ...

    def epoch_batches(self, epoch: int) -> list[list[int]]:
        """The epoch's batches, as indices of examples. The same at every call."""
        ...

    def make_batch(self, items: Sequence[int], counted: Sequence[bool], epoch: int) -> B_co:
        """Examples to tensors. All random numbers depend on seed, epoch and example alone. Called in several
        threads at once, ahead of the step.

        items: indices of examples. counted: false for an example that only fills up a process's share; it is
        in no loss.
        """
        ...

    def validate(self, process: int, processes: int) -> list[Any]:
        """This process's share of the predictions on the validation examples; any picklable objects."""
        ...

    def metrics(self, predictions: Sequence[Any]) -> Mapping[str, float]:
        """All processes' predictions to named metrics; the first decides when to stop and what is kept."""
        ...


Losses = dict[str, Tensor]
