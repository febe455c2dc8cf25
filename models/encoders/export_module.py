"""wav2vec 2.0 for one clip without padding, reduced to plain tensor operations so that it can be exported."""

from __future__ import annotations

import copy

from torch import Tensor, nn
from torch.nn.utils import parametrize

from ..errors import CheckpointError
from .base import AudioEncoder
from .mel_front_end import ExportableMelFrontEnd, MelFrontEnd

EXPORTABLE_MODEL_TYPES = ("wav2vec2", "hubert")


class ExportableEncoder(nn.Module):
    """A copy of a wav2vec 2.0 or HuBERT encoder with its weight norm folded in, in eval mode.

    Its weights have the names of `AudioEncoder`'s, which gives the same features for a single clip.
    """

    def __init__(self, encoder: AudioEncoder) -> None:
        """Raises CheckpointError for another kind of encoder."""
        super().__init__()
        kind = encoder.backbone.config.model_type
        if kind not in EXPORTABLE_MODEL_TYPES:
            raise CheckpointError(
                f"expected an audio encoder out of {', '.join(EXPORTABLE_MODEL_TYPES)} to export, "
                f"got {kind}: it runs in torch alone"
            )
        self.backbone = copy.deepcopy(encoder.backbone).eval()
        self.mix = copy.deepcopy(encoder.mix)
        if isinstance(self.backbone.feature_extractor, MelFrontEnd):
            self.backbone.feature_extractor = ExportableMelFrontEnd(self.backbone.feature_extractor)
        for module in list(self.backbone.modules()):
            for name, child in module.named_children():
                if isinstance(child, nn.Conv1d) and parametrize.is_parametrized(child, "weight"):
                    setattr(module, name, _without_weight_norm(child))

    def forward(self, samples: Tensor) -> Tensor:
        """(1, N) prepared samples -> (1, T, H)."""
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
        mixed: Tensor = self.mix(states)
        return mixed


def _without_weight_norm(conv: nn.Conv1d) -> nn.Conv1d:
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
