"""Export of the whole network as graphs without weights; for `python -m emostream.training export`."""

from __future__ import annotations

import copy
import hashlib
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ..checkpoint_files import read_config_fields
from ..emotion import Baselines, EmotionModel, EncodedModality
from ..encoders.base import length_mask
from ..encoders.export_module import without_weight_norm
from ..encoders.identity import BACKBONE
from ..encoders.mel_front_end import MelFrontEnd, apply_convolutions
from ..encoders.whisper import encoder_layer
from .files import AUDIO_GRAPH, FUSION_GRAPH, Description, Graph, network_digest

_PREFIX: Final = "model."
_ROWS: Final = torch.export.Dim("rows", min=1, max=4_096)
_MAX_FRAMES: Final = 20_000


def is_exportable(model: EmotionModel) -> bool:
    """Whether it is exported whole: an audio encoder over a spectrogram, BERT, and no spans."""
    encoder = model.audio_encoder.backbone
    over_spectrogram = encoder.config.model_type == "whisper" or isinstance(
        getattr(encoder, "feature_extractor", None), MelFrontEnd
    )
    is_bert = model.text_encoder.backbone.config.model_type == "bert"
    return over_spectrogram and is_bert and not model.config.spans


class AudioBranch(nn.Module):
    """Spectrograms of clips of any lengths to what `EmotionModel.fuse` needs of them."""

    def __init__(self, model: EmotionModel) -> None:
        super().__init__()
        self.model = model
        self.outputs = ("features",) if model.config.baseline is None else ("features", "voice")

    def forward(self, mel: Tensor, counts: Tensor) -> tuple[Tensor, ...]:
        """mel: (B, bins, F); counts: (B,) int64, valid frames of F -> (B, T, H), with a baseline (B, D)."""
        model = self.model
        is_whisper = model.audio_encoder.backbone.config.model_type == "whisper"
        states, mask = (_whisper_states if is_whisper else _wav2vec2_states)(
            model.audio_encoder.backbone, mel, counts
        )
        encoded = model.encode_states(states, mask, torch.ones_like(counts, dtype=torch.bool))
        return (encoded.features,) if encoded.voice is None else (encoded.features, encoded.voice)


class TextAndFusion(nn.Module):
    """BERT, the fusion and the heads."""

    def __init__(self, model: EmotionModel) -> None:
        super().__init__()
        self.model = model
        self.outputs = (*(() if model.early is None else ("early",)), "audio", "text")

    def forward(
        self,
        ids: Tensor,
        lengths: Tensor,
        features: Tensor,
        frames: Tensor,
        has_audio: Tensor,
        shifts: Tensor | None = None,
        known: Tensor | None = None,
    ) -> tuple[Tensor, ...]:
        """ids: (B, L) int64; lengths: (B,) tokens, 0 without text; features: (B, T, H); frames: (B,) of T;
        has_audio: (B,) bool; with a baseline, shifts: (B, D) and known: (B,) -> the heads' logits (B, C).
        """
        model = self.model
        present = lengths > 0
        mask = length_mask(lengths, ids.shape[1])
        # A row without text attends to its first token: the softmax of an all-padding row is undefined.
        encoded = _bert(model.text_encoder, ids, length_mask(lengths.clamp(min=1), ids.shape[1]))
        text = EncodedModality(torch.where(present[:, None, None], encoded, 0.0), mask, present)
        heard = length_mask(frames, features.shape[1]) & has_audio[:, None]
        audio = EncodedModality(features, heard, has_audio)
        baselines = None if shifts is None or known is None else Baselines(shifts, known)
        logits = model.fuse(audio, text, {}, baselines).logits()
        return tuple(logits[head] for head in self.outputs)


def export_network(model: EmotionModel, folder: Path) -> None:
    """Write the graphs of a checkpoint whose configuration is in `folder`. Needs onnx and onnxscript."""
    plain = copy.deepcopy(model).eval()
    for module in list(plain.audio_encoder.backbone.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.Conv1d) and parametrize.is_parametrized(child, "weight"):
                setattr(module, name, without_weight_norm(child))
    audio = _export(AudioBranch(plain), *_audio_inputs(model), folder / AUDIO_GRAPH)
    fusion = _export(TextAndFusion(plain), *_fusion_inputs(model), folder / FUSION_GRAPH)
    fields = read_config_fields(folder)
    is_shared = fields.get("shared_encoder") is not None
    shapes = {name: list(tensor.shape) for name, tensor in model.state_dict().items()}
    shared = {name: shape for name, shape in shapes.items() if is_shared and name.startswith(BACKBONE)}
    encoders = (model.audio_encoder, model.text_encoder)
    Description(
        network=network_digest(fields),
        stored={name: shape for name, shape in shapes.items() if name not in shared},
        shared={name.removeprefix(BACKBONE): shape for name, shape in shared.items()},
        parameters=sum(weights.numel() for weights in model.parameters()),
        encoder_parameters=sum(w.numel() for encoder in encoders for w in encoder.parameters()),
        audio=audio,
        fusion=fusion,
    ).write(folder)


def _audio_inputs(model: EmotionModel) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Examples, and which of their dimensions vary."""
    frames = torch.export.Dim("mel_frames", min=2, max=_MAX_FRAMES)
    return (
        {"mel": torch.randn(3, _bins(model), 58), "counts": torch.tensor([58, 31, 7])},
        {"mel": {0: _ROWS, 2: frames}, "counts": {0: _ROWS}},
    )


def _fusion_inputs(model: EmotionModel) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """As `_audio_inputs`."""
    tokens = torch.export.Dim("tokens", min=1, max=model.config.max_tokens)
    frames = torch.export.Dim("frames", min=1, max=_MAX_FRAMES)
    inputs = {
        "ids": torch.zeros(3, 7, dtype=torch.long),
        "lengths": torch.tensor([7, 0, 4]),
        "features": torch.randn(3, 29, model.audio_encoder.hidden_size),
        "frames": torch.tensor([29, 16, 1]),
        "has_audio": torch.tensor([True, True, False]),
    }
    varying: dict[str, Any] = {
        "ids": {0: _ROWS, 1: tokens},
        "lengths": {0: _ROWS},
        "features": {0: _ROWS, 1: frames},
        "frames": {0: _ROWS},
        "has_audio": {0: _ROWS},
    }
    if model.config.baseline is not None:
        inputs |= {"shifts": torch.randn(3, model.concatenation.mean.numel()), "known": torch.rand(3)}
        varying |= {"shifts": {0: _ROWS}, "known": {0: _ROWS}}
    return inputs, varying


def _export(
    network: AudioBranch | TextAndFusion, inputs: dict[str, Tensor], varying: dict[str, Any], file: Path
) -> Graph:
    import onnx

    with torch.no_grad():
        program = torch.onnx.export(
            network.eval(),
            (),
            None,
            kwargs=inputs,
            dynamo=True,
            input_names=list(inputs),
            output_names=list(network.outputs),
            dynamic_shapes=varying,
            optimize=False,  # it would transpose and rename the weights and store them in the graph
            verbose=False,
        )
    assert program is not None
    proto = program.model_proto
    names = {weight.name: weight.name.removeprefix(_PREFIX) for weight in proto.graph.initializer}
    for node in proto.graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.ClearField("doc_string")
        node.ClearField("metadata_props")
    for weight in proto.graph.initializer:
        make_external(weight, names[weight.name])
    del proto.graph.value_info[:]
    onnx.save(proto, file)
    return Graph(hashlib.sha256(file.read_bytes()).hexdigest(), sorted(names.values()))


def make_external(weight: Any, name: str) -> None:
    """Name the weight and leave its data out: they are passed in when the graph is loaded."""
    import onnx

    shape, kind = list(weight.dims), weight.data_type
    weight.Clear()
    weight.name, weight.data_type, weight.data_location = name, kind, onnx.TensorProto.EXTERNAL
    weight.dims.extend(shape)
    weight.external_data.add(key="location", value="model.safetensors")


def _bins(model: EmotionModel) -> int:
    config = model.audio_encoder.backbone.config
    return int(config.num_mel_bins if config.model_type == "whisper" else config.mel_bins)


def _whisper_states(network: Any, mel: Tensor, counts: Tensor) -> tuple[list[Tensor], Tensor]:
    """layers + 1 tensors (B, T, H), and the mask (B, T)."""
    hidden, valid = apply_convolutions(network.conv1, network.conv2, mel, counts)
    hidden = hidden.transpose(1, 2)
    mask = length_mask(valid, hidden.shape[1])
    states = [hidden + network.embed_positions.weight[: hidden.shape[1]]]
    for layer in network.layers:
        states.append(encoder_layer(layer, states[-1], mask[:, None, None]))
    states[-1] = network.layer_norm(states[-1])
    return states, mask


def _wav2vec2_states(network: Any, mel: Tensor, counts: Tensor) -> tuple[list[Tensor], Tensor]:
    """As `_whisper_states`."""
    front_end, encoder = network.feature_extractor, network.encoder
    norm_first = network.config.do_stable_layer_norm
    channels, valid = apply_convolutions(front_end.conv1, front_end.conv2, mel, counts)
    hidden, _ = network.feature_projection(channels.transpose(1, 2))
    mask = length_mask(valid, hidden.shape[1])
    hidden = torch.where(mask[..., None], hidden, 0.0)
    hidden = hidden + encoder.pos_conv_embed(hidden)
    states = [hidden if norm_first else encoder.layer_norm(hidden)]
    for layer in encoder.layers:
        output = layer(states[-1], attention_mask=_additive(mask))
        states.append(output[0] if isinstance(output, tuple) else output)
    if norm_first:
        states[-1] = encoder.layer_norm(states[-1])
    return states, mask


def _bert(encoder: Any, ids: Tensor, mask: Tensor) -> Tensor:
    """ids: (B, L) -> (B, L, H), the mix of BERT's layers."""
    network = encoder.backbone
    positions = torch.arange(ids.shape[1], device=ids.device)[None]
    hidden = network.embeddings(input_ids=ids, token_type_ids=torch.zeros_like(ids), position_ids=positions)
    states = [hidden]
    for layer in network.encoder.layer:
        output = layer(states[-1], attention_mask=_additive(mask))
        states.append(output[0] if isinstance(output, tuple) else output)
    mixed: Tensor = encoder.mix(states)
    return mixed


def _additive(mask: Tensor) -> Tensor:
    """(B, T) true on keys -> (B, 1, 1, T), added to the scores."""
    return torch.where(mask, 0.0, torch.finfo(torch.float32).min)[:, None, None]
