"""What the loop trains: a network with its loss, and the examples in batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, Self, TypeVar

import torch
from torch import Tensor, nn


class Batch(Protocol):
    """Tensors that move together."""

    def to(self, device: torch.device) -> Self: ...


B_co = TypeVar("B_co", bound=Batch, covariant=True)


class Task(Protocol[B_co]):
    """All that the loop wants to know. Nothing in here depends on how many processes there are.

    module: forward(batch) -> named losses, the one called `loss` is minimised. A module that runs in several
    processes gets a share of the batch in each and computes the loss of the whole, see `objectives.gather`.
    """

    @property
    def module(self) -> nn.Module: ...

    def groups(self) -> list[dict[str, object]]:
        """Parameter groups for the optimizer, each with its `params` and `lr`."""
        ...

    def plan(self, epoch: int) -> list[list[int]]:
        """The epoch's batches, as numbers of examples. The same at every call."""
        ...

    def batch(self, items: Sequence[int], counted: Sequence[bool], epoch: int) -> B_co:
        """Examples to tensors. Whatever is drawn depends on seed, epoch and example alone.

        counted: false for an example that only fills a process's share up; it is in no loss.
        """
        ...

    def validate(self, process: int, processes: int) -> list[Any]:
        """This process's share of the judgements on the validation examples; any picklable objects."""
        ...

    def metrics(self, predictions: Sequence[Any]) -> Mapping[str, float]:
        """All processes' judgements to named figures; the first decides when to stop and what is kept."""
        ...


Losses = dict[str, Tensor]
