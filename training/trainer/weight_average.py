"""An exponential moving average of a module's trainable weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

_Tensors = tuple[Tensor, ...] | list[Tensor]


class WeightAverage:
    """Exponential moving average of the trainable weights, w' = decay w' + (1 - decay) w after every step.

    Steadier than any single step on a few thousand clips. It starts from the weights before the first step;
    early on the decay is smaller, (1 + n) / (10 + n) after n steps, so that these are soon forgotten.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        # A list of them and not the module, so that no frozen encoder is copied and averaged.
        self._weights = nn.ParameterList(w for w in module.parameters() if w.requires_grad)
        self._average = AveragedModel(self._weights, multi_avg_fn=_ema_with_warmup(decay))
        # AveragedModel takes the weights at its first update for the start of the average: that was now.
        self._average.n_averaged += 1

    def update(self) -> None:
        self._average.update_parameters(self._weights)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The average in the weights' place, for the time of the block."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for weights, average in zip(self._weights, self._average.module.parameters(), strict=True):
            current = weights.detach().clone()
            weights.copy_(average)
            average.copy_(current)

    def state_dict(self) -> dict[str, Any]:
        state: dict[str, Any] = self._average.state_dict()
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._average.load_state_dict(state)


def _ema_with_warmup(decay: float) -> Callable[[_Tensors, _Tensors, int | Tensor], None]:
    """`get_ema_multi_avg_fn` with min(decay, (1 + n) / (10 + n)) at the n-th update."""

    def update(average: _Tensors, current: _Tensors, updates: int | Tensor) -> None:
        n = int(updates)
        get_ema_multi_avg_fn(min(decay, (1 + n) / (10 + n)))(average, current, n)

    return update
