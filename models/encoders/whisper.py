"""Whisper's encoder on clips of any length.

The stock forward pass takes 30 s and has no mask. Here the position embeddings are truncated to the actual
frames and the keys are masked, so that two seconds cost two seconds of computation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PretrainedConfig
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from ..inputs import WaveformSpec
from ..types import SAMPLE_RATE_HZ
from .base import AudioEncoder, length_mask
from .log_mel import log_mel
from .mel_front_end import STRIDE, apply_convolutions
from .spectrogram import HOP, WINDOW


class WhisperAudioEncoder(AudioEncoder):
    """The encoder half of Whisper; `config` may be the whole model's.

    Where chosen layers are concatenated, those above the highest of them are dropped: they are neither
    stored nor run.
    """

    def __init__(self, config: PretrainedConfig, level: float | None = None) -> None:
        """level: root mean square that clips are brought to; None: they stay as they are."""
        super().__init__(WhisperEncoder(config), config.encoder_layers, config.d_model)
        self._bins = config.num_mel_bins
        self._level = level

    @property
    def depth(self) -> int:
        """Layers that are run."""
        return len(self.backbone.layers)

    @property
    def normalized(self) -> bool:
        """Whether the last of them is the network's last, which is followed by a layer norm."""
        return bool(self.depth == self.backbone.config.encoder_layers)

    def concatenate(self, layers: Sequence[int] | None, width: int, dropout: float) -> None:
        super().concatenate(layers, width, dropout)
        if layers is None or max(layers) == self.depth:
            return
        self.backbone.layers = self.backbone.layers[: max(layers)]
        self.backbone.layer_norm = nn.Identity()
        self.states = max(layers) + 1

    @property
    def waveform_spec(self) -> WaveformSpec:
        """From one spectrogram window to the number of position embeddings, 30 s in the published models;
        Whisper was trained on unnormalised audio.
        """
        longest = len(self.backbone.embed_positions.weight) * self.step
        return WaveformSpec(WINDOW, unit_variance=False, max_samples=longest, level=self._level)

    @property
    def step(self) -> int:
        return HOP * STRIDE

    def frame_centres(self, frames: int) -> Tensor:
        return torch.arange(frames) * self.step

    def layers(self, samples: Tensor, mask: Tensor) -> tuple[list[Tensor], Tensor]:
        """Raises ValueError for a clip longer than `waveform_spec` allows."""
        counts = mask.sum(1)
        hidden, frame_mask = self._embed(log_mel(samples, counts, self._bins), counts // HOP)
        states = [hidden]
        for layer in self.backbone.layers:
            hidden = encoder_layer(layer, hidden, frame_mask[:, None, None])
            states.append(hidden)
        states[-1] = self.backbone.layer_norm(hidden)
        return states, frame_mask

    def stages(self) -> list[list[nn.Module]]:
        network = self.backbone
        return [[network.conv1, network.conv2, network.embed_positions], *([x] for x in network.layers)]

    def _embed(self, mel: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
        """(B, bins, F), (B,) valid frames of F -> (B, T, H), (B, T)."""
        network = self.backbone
        mel = mel.to(network.conv1.weight.dtype)
        x, valid = apply_convolutions(network.conv1, network.conv2, mel, counts)
        x = x.transpose(1, 2)  # (B, T, H)
        positions = network.embed_positions.weight
        if x.shape[1] > len(positions):
            limit = len(positions) * HOP * STRIDE / SAMPLE_RATE_HZ
            raise ValueError(f"expected clips of at most {limit:g} s for Whisper, got longer ones: cut them")
        x = x + positions[: x.shape[1]]
        x = F.dropout(x, network.dropout, training=network.embed_positions.training)
        return x, length_mask(valid, x.shape[1])


def encoder_layer(layer: Any, x: Tensor, mask: Tensor | None) -> Tensor:
    """A WhisperEncoderLayer. x: (B, T, H); mask: (B, 1, 1, T) true on keys, None for all -> (B, T, H)."""
    attended: Tensor = _attention(layer.self_attn, layer.self_attn_layer_norm(x), mask)
    x = x + F.dropout(attended, layer.dropout, training=layer.training)
    inner = layer.activation_fn(layer.fc1(layer.final_layer_norm(x)))
    inner = F.dropout(inner, layer.activation_dropout, training=layer.training)
    outer: Tensor = F.dropout(layer.fc2(inner), layer.dropout, training=layer.training)
    return x + outer


def _attention(attention: Any, x: Tensor, mask: Tensor | None) -> Tensor:
    def heads(y: Tensor) -> Tensor:  # (B, T, H) -> (B, heads, T, H / heads)
        split: Tensor = y.unflatten(2, (attention.num_heads, -1))
        return split.transpose(1, 2)

    mixed = F.scaled_dot_product_attention(
        heads(attention.q_proj(x)),
        heads(attention.k_proj(x)),
        heads(attention.v_proj(x)),
        attn_mask=mask,
        dropout_p=attention.dropout if attention.training else 0.0,
    )
    return attention.out_proj(mixed.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]
