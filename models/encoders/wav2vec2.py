"""wav2vec 2.0 and its relatives: HuBERT, WavLM.

A layer-norm front end is independent of the batch by itself: a frame sees only its own receptive field, and
the encoder's key mask hides the padding. A group-norm front end computes statistics over time, from which
the padding has to be excluded.
"""

from __future__ import annotations

import copy
import math
import warnings

import torch
from torch import Tensor, nn
from transformers import MODEL_MAPPING, PretrainedConfig

from ..inputs import WaveformSpec
from .base import AudioEncoder, capture_layer_states, length_mask
from .group_norm import extract_batched, extract_per_clip
from .mel_front_end import STRIDE, MelFrontEnd
from .spectrogram import HOP, WINDOW


class Wav2Vec2AudioEncoder(AudioEncoder):
    """(B, N) samples to frames, 50 a second at the usual strides."""

    def __init__(self, config: PretrainedConfig, *, unit_variance: bool = True) -> None:
        network = MODEL_MAPPING[type(config)](_without_unused_parts(config))
        super().__init__(network, config.num_hidden_layers, config.hidden_size)
        self._group_norm = config.feat_extract_norm == "group"
        self._steps = tuple(zip(config.conv_kernel, config.conv_stride, strict=True))
        self._unit_variance = unit_variance

    @property
    def waveform_spec(self) -> WaveformSpec:
        """At least the receptive field of one frame: a shorter clip would have no frames."""
        return WaveformSpec(self._receptive_field(), self._unit_variance)

    @property
    def step(self) -> int:
        return math.prod(stride for _, stride in self._steps)

    def frame_centres(self, frames: int) -> Tensor:
        return torch.arange(frames) * self.step + (self._receptive_field() - 1) // 2

    def layers(self, samples: Tensor, mask: Tensor) -> tuple[list[Tensor], Tensor]:
        frames, valid = self._front_end(samples, mask.sum(1))  # (B, T, C)
        frame_mask = length_mask(valid, frames.shape[1])
        projected = self.backbone.feature_projection(frames)
        # HuBERT's projection returns the frames only, the others also the normalised ones.
        hidden = projected[0] if isinstance(projected, tuple) else projected  # (B, T, H)
        with capture_layer_states(self.backbone.encoder.layers) as states, warnings.catch_warnings():
            # WavLM's attention adds a float bias to a bool mask, about which torch warns.
            warnings.filterwarnings("ignore", "Support for mismatched key_padding_mask", UserWarning)
            last = self.backbone.encoder(hidden, attention_mask=frame_mask).last_hidden_state
        states[-1] = last  # the pre-norm variant ends with a layer norm of its own
        return states, frame_mask

    def stages(self) -> list[list[nn.Module]]:
        encoder = self.backbone.encoder
        entrance = [encoder.pos_conv_embed, encoder.dropout]
        if not self.backbone.config.do_stable_layer_norm:  # in which the norm follows the last layer
            entrance.append(encoder.layer_norm)
        first, *others = encoder.layers
        front_end = [self.backbone.feature_extractor, self.backbone.feature_projection]
        return [front_end, [*entrance, first], *([layer] for layer in others)]

    def _receptive_field(self) -> int:
        samples = 1
        for kernel, stride in reversed(self._steps):
            samples = (samples - 1) * stride + kernel
        return samples

    def _frame_counts(self, samples: Tensor) -> Tensor:
        """samples: (B,) valid samples -> (B,) frames."""
        for kernel, stride in self._steps:
            samples = torch.div(samples - kernel, stride, rounding_mode="floor") + 1
        return samples

    def _front_end(self, samples: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
        """samples: (B, N); counts: (B,) valid ones -> (B, T, C), and (B,) valid frames of T."""
        extract = self.backbone.feature_extractor
        samples = samples.to(extract.conv_layers[0].conv.weight.dtype)
        if not self._group_norm:
            return extract(samples).transpose(1, 2), self._frame_counts(counts)
        extract_padded = extract_per_clip if samples.device.type == "cpu" else extract_batched
        return extract_padded(extract, samples, counts).transpose(1, 2), self._frame_counts(counts)


class MelWav2Vec2AudioEncoder(Wav2Vec2AudioEncoder):
    """wav2vec 2.0 from the projection up, over a spectrogram of `config.mel_bins` bins; see `MelFrontEnd`.

    Of the configuration's convolutions only the channels of the last one are used.
    """

    def __init__(self, config: PretrainedConfig, *, unit_variance: bool = True) -> None:
        super().__init__(config, unit_variance=unit_variance)
        self.backbone.feature_extractor = MelFrontEnd(config.mel_bins, config.conv_dim[-1])

    @property
    def waveform_spec(self) -> WaveformSpec:
        """At least one window of the spectrogram."""
        return WaveformSpec(WINDOW, self._unit_variance)

    @property
    def step(self) -> int:
        return HOP * STRIDE

    def frame_centres(self, frames: int) -> Tensor:
        return torch.arange(frames) * self.step

    def _front_end(self, samples: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
        frames, valid = self.backbone.feature_extractor.padded(samples, counts)
        return frames.transpose(1, 2), valid


def _without_unused_parts(config: PretrainedConfig) -> PretrainedConfig:
    """Disable layer drop (the mix needs every layer) and leave out masking and adapter, which never run."""
    changed = copy.deepcopy(config)
    changed.layerdrop = 0.0
    changed.mask_time_prob = changed.mask_feature_prob = 0.0
    changed.add_adapter = False
    return changed
