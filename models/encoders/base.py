"""What every encoder is: a pretrained network, a learned mix of its layers, and parts that may be frozen."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self

import torch
from torch import Tensor, nn

from ..collate import Waveform


class LayerMix(nn.Module):
    """Softmax-weighted sum over a network's layers: shallow layers carry prosody, deep ones words."""

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


class Encoder(nn.Module, ABC):
    """`backbone` is a network of transformers with `layers` layers; `mix` weighs its layers + 1 states."""

    backbone: Any

    def __init__(self, backbone: Any, layers: int, hidden_size: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.mix = LayerMix(layers + 1)
        self.hidden_size = hidden_size
        self._frozen: tuple[nn.Module, ...] = ()

    @abstractmethod
    def stages(self) -> list[list[nn.Module]]:
        """The parts that may be frozen, from the input up: the front end, then one stage a layer.

        What stands between the front end and the first layer belongs to that layer.
        """

    def hold(self, modules: Sequence[nn.Module]) -> None:
        """Freeze these for good: no gradient, and eval mode whatever `train` says."""
        for module in modules:
            module.requires_grad_(False)
        self._frozen += tuple(modules)
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        for module in self._frozen:
            module.eval()
        return self


class AudioEncoder(Encoder):
    """From waveform to frames. A batch does not change a clip's result."""

    @property
    @abstractmethod
    def waveform(self) -> Waveform:
        """How the sound is to be prepared."""

    @property
    @abstractmethod
    def step(self) -> int:
        """Samples from one frame to the next."""

    @abstractmethod
    def frame_centres(self, frames: int) -> Tensor:
        """(frames,) int64: the sample at the middle of what each frame hears by itself."""

    @abstractmethod
    def layers(self, samples: Tensor, mask: Tensor) -> tuple[list[Tensor], Tensor]:
        """samples: (B, N); mask: (B, N) true on sound -> layers + 1 tensors (B, T, H), (B, T)."""

    def forward(self, samples: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """samples: (B, N); mask: (B, N) -> (B, T, H), (B, T)."""
        states, frame_mask = self.layers(samples, mask)
        return self.mix(states), frame_mask


def first_places(counts: Tensor, length: int) -> Tensor:
    """counts: (B,) -> (B, length) bool: true on the first `counts` places of each row."""
    return torch.arange(length, device=counts.device) < counts[:, None]


@contextmanager
def recorded(layers: nn.ModuleList) -> Iterator[list[Tensor]]:
    """The input of the first layer and the output of each, as they run.

    Hooks, because the library's own way to ask for hidden states differs between its versions.
    """
    states: list[Tensor] = []

    def before(_: nn.Module, args: tuple[Any, ...]) -> None:
        states.append(args[0])

    def after(_: nn.Module, __: tuple[Any, ...], output: Any) -> None:
        states.append(output[0] if isinstance(output, tuple) else output)

    handles = [layers[0].register_forward_pre_hook(before)]
    handles += [layer.register_forward_hook(after) for layer in layers]
    try:
        yield states
    finally:
        for handle in handles:
            handle.remove()
