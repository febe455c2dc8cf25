"""Encoders for one clip without padding, reduced to plain tensor operations so that they can be exported."""

from __future__ import annotations

import copy
from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from ..errors import CheckpointError
from .base import AudioEncoder
from .layer_mix import LayerConcat
from .mel_front_end import ExportableLogMel, ExportableMelFrontEnd, MelFrontEnd
from .whisper import encoder_layer

EXPORTABLE_MODEL_TYPES = ("wav2vec2", "hubert", "whisper")


class ExportableEncoder(nn.Module):
    """A copy of an encoder in eval mode, which gives the same features for a single clip.

    Its weights have the names of `AudioEncoder`'s. outputs: their names.
    """

    def __init__(self, encoder: AudioEncoder, *, voice: bool) -> None:
        super().__init__()
        self.backbone = copy.deepcopy(encoder.backbone).eval()
        self.mix = copy.deepcopy(encoder.mix).eval()
        self._voice = voice
        self.outputs = ("features", "voice") if voice else ("features",)

    def forward(self, samples: Tensor) -> tuple[Tensor, ...]:
        """(1, N) prepared samples -> (1, T, H); with `voice` also (1, D), see `make_exportable`."""
        states = self.states(samples)
        return combine(self.mix, states) if self._voice else (self.mix(states),)

    def states(self, samples: Tensor) -> list[Tensor]:
        """(1, N) -> layers + 1 tensors (1, T, H)."""
        raise NotImplementedError


def combine(mix: nn.Module, states: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """What a model with baselines needs of the layers of one clip without padding: features before the
    activation (1, T, H) and the mean state (1, D).
    """
    assert isinstance(mix, LayerConcat)
    return mix.with_mean(states)


def make_exportable(encoder: AudioEncoder, *, voice: bool = False) -> ExportableEncoder:
    """voice: for a model with baselines: its features are those before the activation, and each clip's mean
    state is an output of its own.

    Raises CheckpointError for a kind of encoder that is not exported.
    """
    kind = encoder.backbone.config.model_type
    if kind not in EXPORTABLE_MODEL_TYPES:
        raise CheckpointError(
            f"expected an audio encoder out of {', '.join(EXPORTABLE_MODEL_TYPES)} to export, "
            f"got {kind}: it runs in torch alone"
        )
    network = ExportableWhisper if kind == "whisper" else ExportableWav2Vec2
    return network(encoder, voice=voice)


class ExportableWhisper(ExportableEncoder):
    """Whisper's encoder, as deep as it is run."""

    def __init__(self, encoder: AudioEncoder, *, voice: bool) -> None:
        super().__init__(encoder, voice=voice)
        self.log_mel = ExportableLogMel(self.backbone.config.num_mel_bins)

    def states(self, samples: Tensor) -> list[Tensor]:
        network = self.backbone
        mel = self.log_mel(samples)
        hidden = F.gelu(network.conv2(F.gelu(network.conv1(mel)))).transpose(1, 2)
        hidden = hidden + network.embed_positions.weight[: hidden.shape[1]]
        states = [hidden]
        for layer in network.layers:
            states.append(encoder_layer(layer, states[-1], None))
        states[-1] = network.layer_norm(states[-1])
        return states


class ExportableWav2Vec2(ExportableEncoder):
    """wav2vec 2.0 or HuBERT with its weight norm folded in."""

    def __init__(self, encoder: AudioEncoder, *, voice: bool) -> None:
        super().__init__(encoder, voice=voice)
        front_end = self.backbone.feature_extractor
        if isinstance(front_end, MelFrontEnd):
            self.backbone.feature_extractor = ExportableMelFrontEnd(front_end)
        for module in list(self.backbone.modules()):
            for name, child in module.named_children():
                if isinstance(child, nn.Conv1d) and parametrize.is_parametrized(child, "weight"):
                    setattr(module, name, without_weight_norm(child))

    def states(self, samples: Tensor) -> list[Tensor]:
        network = self.backbone.encoder
        norm_first = self.backbone.config.do_stable_layer_norm
        projected = self.backbone.feature_projection(self.backbone.feature_extractor(samples).transpose(1, 2))
        hidden = projected[0] if isinstance(projected, tuple) else projected
        hidden = hidden + network.pos_conv_embed(hidden)
        states = [hidden if norm_first else network.layer_norm(hidden)]
        for layer in network.layers:
            output = layer(states[-1])
            states.append(output[0] if isinstance(output, tuple) else output)
        if norm_first:
            states[-1] = network.layer_norm(states[-1])
        return states


def without_weight_norm(conv: nn.Conv1d) -> nn.Conv1d:
    """A new module: removing the parametrization of a copy would also change the original's class."""
    plain = nn.Conv1d(
        conv.in_channels,
        conv.out_channels,
        conv.kernel_size[0],
        stride=conv.stride[0],
        padding=conv.padding[0],
        groups=conv.groups,
        bias=conv.bias is not None,
    )
    plain.load_state_dict({"weight": conv.weight} | ({} if conv.bias is None else {"bias": conv.bias}))
    return plain
