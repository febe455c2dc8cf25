"""From waveform to frames and from tokens to vectors: `(input, mask) -> (features, mask)`.

A batch must not change a clip's result. A layer-norm front end grants that as it stands: a frame sees
only its own receptive field, and the encoder's key mask hides the padding. A group-norm front end takes
statistics over time, padding included, so it runs clip by clip.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers import BertModel, PretrainedConfig, Wav2Vec2Model

from .collate import Waveform


class LayerMix(nn.Module):
    """Softmax-weighted sum over a network's layers: shallow layers carry prosody, deep ones words."""

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(layers))

    def forward(self, hidden: list[Tensor]) -> Tensor:
        """hidden: L tensors (B, T, H) -> (B, T, H)."""
        share = self.weights.softmax(0)
        mixed = share[0] * hidden[0]
        for weight, layer in zip(share[1:], hidden[1:], strict=True):
            mixed = mixed + weight * layer
        return mixed


class AudioEncoder(nn.Module):
    """wav2vec 2.0 with a learned mix of its layers. The waveform is normalised per clip beforehand."""

    def __init__(self, config: PretrainedConfig) -> None:
        super().__init__()
        config.layerdrop = 0.0  # the mix below weighs every layer, so none may be skipped in training
        self.backbone = Wav2Vec2Model(config)
        self.mix = LayerMix(config.num_hidden_layers + 1)
        self._per_clip = config.feat_extract_norm == "group"
        self._steps = tuple(zip(config.conv_kernel, config.conv_stride, strict=True))

    @property
    def waveform(self) -> Waveform:
        """At least the receptive field of one frame: a shorter clip would give none."""
        samples = 1
        for kernel, stride in reversed(self._steps):
            samples = (samples - 1) * stride + kernel
        return Waveform(samples)

    def frame_counts(self, samples: Tensor) -> Tensor:
        """samples: (B,) valid samples -> (B,) frames."""
        for kernel, stride in self._steps:
            samples = torch.div(samples - kernel, stride, rounding_mode="floor") + 1
        return samples

    def layers(self, samples: Tensor, mask: Tensor) -> tuple[list[Tensor], Tensor]:
        """samples: (B, N); mask: (B, N) true on sound -> layers + 1 tensors (B, T, H), (B, T)."""
        counts = mask.sum(1)
        frames = self._front_end(samples, counts)  # (B, T, C)
        frame_mask = torch.arange(frames.shape[1], device=frames.device) < self.frame_counts(counts)[:, None]
        hidden = self.backbone.feature_projection(frames)[0]  # (B, T, H)
        with _recorded(self.backbone.encoder.layers) as states:
            last = self.backbone.encoder(hidden, attention_mask=frame_mask).last_hidden_state
        states[-1] = last  # the pre-norm variant ends with a layer norm of its own
        return states, frame_mask

    def forward(self, samples: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """samples: (B, N); mask: (B, N) -> (B, T, H), (B, T)."""
        states, frame_mask = self.layers(samples, mask)
        return self.mix(states), frame_mask

    def _front_end(self, samples: Tensor, counts: Tensor) -> Tensor:
        extract = self.backbone.feature_extractor
        if not self._per_clip:
            return extract(samples).transpose(1, 2)  # type: ignore[no-any-return]
        clips = [extract(clip[None, :count])[0].T for clip, count in zip(samples, counts, strict=True)]
        return nn.utils.rnn.pad_sequence(clips, batch_first=True)


class TextEncoder(nn.Module):
    """BERT with a learned mix of its layers."""

    def __init__(self, config: PretrainedConfig) -> None:
        super().__init__()
        self.backbone = BertModel(config, add_pooling_layer=False)
        self.mix = LayerMix(config.num_hidden_layers + 1)

    def forward(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """ids: (B, T) int64; mask: (B, T) bool -> (B, T, H), (B, T)."""
        output = self.backbone(input_ids=ids, attention_mask=mask.long(), output_hidden_states=True)
        return self.mix(list(output.hidden_states)), mask


@contextmanager
def _recorded(layers: nn.ModuleList) -> Iterator[list[Tensor]]:
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
