"""Base classes of the encoders: a pretrained network, a learned mix of its layers, freezable parts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self

import torch
from torch import Tensor, nn

from ..inputs import WaveformSpec
from .layer_mix import LayerConcat, LayerMix


class Encoder(nn.Module, ABC):
    """`backbone` is a network of transformers; `mix` combines its layers + 1 hidden states into one sequence.

    states: the number of hidden states. state_size: the width of each. hidden_size: the width of the output
    of `mix`.
    """

    backbone: Any
    mix: LayerMix | LayerConcat

    def __init__(self, backbone: Any, layers: int, hidden_size: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.mix = LayerMix(layers + 1)
        self.states = layers + 1
        self.state_size = self.hidden_size = hidden_size
        self._frozen: tuple[nn.Module, ...] = ()

    def concatenate(self, layers: Sequence[int] | None, width: int, dropout: float) -> None:
        """Concatenate chosen layers (None: all) instead of summing all of them; see `LayerConcat`.

        Raises ValueError for a layer that does not exist.
        """
        chosen = range(self.states) if layers is None else layers
        if not chosen or not set(chosen) <= set(range(self.states)):
            raise ValueError(f"expected layers from 0 to {self.states - 1} to concatenate, got {layers}")
        self.mix = LayerConcat(chosen, self.state_size, width, dropout)
        self.hidden_size = width

    @abstractmethod
    def stages(self) -> list[list[nn.Module]]:
        """The freezable parts, from the input up: the front end, then one stage per layer.

        Modules between the front end and the first layer belong to that layer.
        """

    def freeze_modules(self, modules: Sequence[nn.Module]) -> None:
        """Freeze these permanently: no gradient, and eval mode even after `train()`."""
        for module in modules:
            module.requires_grad_(False)
        self._frozen += tuple(modules)
        self.train(self.training)

    def checkpoint_gradients(self) -> None:
        """Keep, while training, the activations at the layers' bounds alone, and compute what is between them
        again in the backward pass (Chen et al., arXiv 1604.06174).
        """
        # Not reentrant: the hooks that record the layers' states then see tensors with a gradient.
        how = {"use_reentrant": False}
        if hasattr(self.backbone, "activation_checkpointing_enable"):
            self.backbone.activation_checkpointing_enable(activation_checkpointing_kwargs=how)
        else:  # its name in older releases of transformers
            self.backbone.gradient_checkpointing_enable(gradient_checkpointing_kwargs=how)

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        for module in self._frozen:
            module.eval()
        return self


class AudioEncoder(Encoder):
    """Encodes waveforms as frames. A clip's result does not depend on the rest of its batch."""

    @property
    @abstractmethod
    def waveform_spec(self) -> WaveformSpec:
        """The input format that the encoder needs."""

    @property
    @abstractmethod
    def step(self) -> int:
        """Samples between consecutive frames."""

    @abstractmethod
    def frame_centres(self, frames: int) -> Tensor:
        """(frames,) int64: the sample at the centre of each frame's receptive field in the front end."""

    @abstractmethod
    def layers(self, samples: Tensor, mask: Tensor) -> tuple[list[Tensor], Tensor]:
        """samples: (B, N); mask: (B, N) true on audio -> layers + 1 tensors (B, T, H), (B, T)."""

    def forward(self, samples: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """samples: (B, N); mask: (B, N) -> (B, T, H), (B, T)."""
        states, frame_mask = self.layers(samples, mask)
        return self.mix(states), frame_mask


def length_mask(counts: Tensor, length: int) -> Tensor:
    """counts: (B,) -> (B, length) bool: true on the first `counts` places of each row."""
    return torch.arange(length, device=counts.device) < counts[:, None]


@contextmanager
def capture_layer_states(layers: nn.ModuleList) -> Iterator[list[Tensor]]:
    """Record the input of the first layer and the output of each during a forward pass.

    Uses hooks because the library's own option for hidden states differs between its versions.
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
