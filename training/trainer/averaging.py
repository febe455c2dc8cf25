"""A running average of the weights: steadier than any single step on a few thousand clips."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class WeightAverage:
    """w' = decay w' + (1 - decay) w over the trainable weights, from the first step on.

    Early on the decay is smaller, (1 + n) / (10 + n) after n steps, so that the start is soon forgotten.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self._live: list[Tensor] = [weights for weights in module.parameters() if weights.requires_grad]
        self._average = [weights.detach().clone() for weights in self._live]
        self._decay = decay
        self._steps = 0

    @torch.no_grad()
    def update(self) -> None:
        self._steps += 1
        decay = min(self._decay, (1 + self._steps) / (10 + self._steps))
        torch._foreach_lerp_(self._average, self._live, 1.0 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The average in the weights' place, for the time of the block."""
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    @torch.no_grad()
    def _exchange(self) -> None:
        for live, average in zip(self._live, self._average, strict=True):
            kept = live.detach().clone()
            live.copy_(average)
            average.copy_(kept)

    def state_dict(self) -> dict[str, object]:
        return {"average": self._average, "steps": self._steps}

    def load_state_dict(self, state: dict[str, object]) -> None:
        saved = state["average"]
        assert isinstance(saved, list)
        for average, weights in zip(self._average, saved, strict=True):
            average.copy_(weights)
        self._steps = int(state["steps"])  # type: ignore[call-overload]


def trainable_state_dict(module: nn.Module) -> dict[str, Tensor]:
    """What training changes: weights that take a gradient, and buffers. Frozen encoders stay out of it."""
    frozen = {name for name, weights in module.named_parameters() if not weights.requires_grad}
    return {
        name: tensor.detach().cpu().clone()
        for name, tensor in module.state_dict().items()
        if name not in frozen
    }


def load_trainable_state_dict(module: nn.Module, state: dict[str, Tensor]) -> None:
    """Raises ValueError where `state` is of another module."""
    here = trainable_state_dict(module)
    if strange := sorted(here.keys() ^ state.keys()):
        raise ValueError(f"expected the weights of this network, {len(strange)} differ ({strange[0]}, ...)")
    module.load_state_dict(state, strict=False)
