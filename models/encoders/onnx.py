"""The audio encoder as an ONNX graph without weights.

ONNX Runtime runs a small encoder in three quarters of torch's time (docs/adr/0008). The weights stay in
model.safetensors and are passed in when the graph is loaded: there is one copy of them, and the graph's
output is compared with torch's at that time.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime
import torch
from torch import Tensor
from torch.nn.utils import parametrize

from ..errors import CheckpointError, one_line
from ..types import Samples
from .base import AudioEncoder
from .export_module import ExportableEncoder, combine, make_exportable
from .mel_front_end import MelFrontEnd, spectrogram_tables
from .whisper import WhisperAudioEncoder

GRAPH_FILE: Final = "audio_encoder.onnx"
INPUT: Final = "samples"
_MAX_SAMPLES: Final = 30 * 16_000
_TOLERANCE: Final = 1e-3


class OnnxEncoder:
    """Runs an exported encoder with ONNX Runtime on the CPU, one clip at a time and hence without padding."""

    def __init__(self, file: Path, encoder: AudioEncoder, *, voice: bool = False) -> None:
        """voice: see `make_exportable`.

        Raises CheckpointError where the graph is damaged or its output differs from that of `encoder`.
        """
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        # Spinning threads would take CPU time from the transcriber.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        weights = {name: _as_ort(tensor) for name, tensor in _weights(encoder).items()}
        options.add_external_initializers(list(weights), list(weights.values()))
        try:
            self._session = onnxruntime.InferenceSession(
                file.read_bytes(), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # the library's errors have no common base class
            raise CheckpointError(
                f"{file}: expected the graph of this checkpoint's audio encoder "
                f"({one_line(error)}): export it again, or remove it"
            ) from error
        self._compare(encoder, file, voice)

    def _compare(self, encoder: AudioEncoder, file: Path, voice: bool) -> None:
        """Check the output on short noise: a graph with another activation or head count takes the weights
        too."""
        probe = torch.randn(encoder.waveform_spec.min_samples * 4, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            states, _ = encoder.layers(probe[None], torch.ones(1, len(probe), dtype=torch.bool))
            expected = combine(encoder.mix, states) if voice else (encoder.mix(states),)
        found = self._run(probe)
        if len(found) != len(expected) or not all(map(_agree, found, expected)):
            raise CheckpointError(
                f"{file}: expected the graph of this checkpoint's audio encoder, got one that "
                "computes something else: export it again, or remove it"
            )

    def __call__(self, samples: Tensor) -> tuple[Tensor, Samples | None]:
        """(N,) prepared samples -> features (T, H), and the mean state (D,) if the graph outputs it."""
        features, *voice = self._run(samples)
        return features[0], voice[0][0].numpy() if voice else None

    def _run(self, samples: Tensor) -> list[Tensor]:
        return [torch.from_numpy(one) for one in self._session.run(None, {INPUT: samples[None].numpy()})]


def export_graph(encoder: AudioEncoder, file: Path, *, voice: bool = False) -> None:
    """Export the encoder. Needs the packages onnx and onnxscript. voice: see `make_exportable`.

    Raises CheckpointError for a kind of encoder that is not exported.
    """
    import onnx

    # The optimizer would transpose and rename the weights and store them in the graph.
    graph = export_program(
        make_exportable(encoder, voice=voice), encoder.waveform_spec.min_samples, optimize=False
    ).model_proto
    for weight in graph.graph.initializer:
        _make_external(weight)
    for node in graph.graph.node:
        node.ClearField("doc_string")
        node.ClearField("metadata_props")
    onnx.save(graph, file)


def export_program(plain: ExportableEncoder, shortest: int, *, optimize: bool) -> torch.onnx.ONNXProgram:
    """Export with weights, for clips of `shortest` samples up to 30 s."""
    length = torch.export.Dim("length", min=shortest + 1, max=_MAX_SAMPLES)
    with torch.no_grad():
        program = torch.onnx.export(
            plain.eval(),
            (torch.zeros(1, 4 * shortest),),
            None,
            dynamo=True,
            input_names=[INPUT],
            output_names=list(plain.outputs),
            dynamic_shapes=({1: length},),
            optimize=optimize,
            verbose=False,
        )
    assert program is not None
    return program


def _agree(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and torch.allclose(one, other, atol=_TOLERANCE, rtol=_TOLERANCE)


def _make_external(weight: Any) -> None:
    import onnx

    shape, kind = list(weight.dims), weight.data_type
    name = weight.name
    weight.Clear()
    weight.name, weight.data_type, weight.data_location = name, kind, onnx.TensorProto.EXTERNAL
    weight.dims.extend(shape)
    weight.external_data.add(key="location", value="model.safetensors")


def _weights(encoder: AudioEncoder) -> dict[str, Tensor]:
    """The weights of `ExportableEncoder` by name, without a copy of the network."""
    weights: dict[str, Tensor] = dict(encoder.state_dict())
    if isinstance(encoder, WhisperAudioEncoder):
        bins = encoder.backbone.config.num_mel_bins
        return weights | {f"log_mel.{name}": table for name, table in spectrogram_tables(bins).items()}
    front_end = encoder.backbone.feature_extractor
    if isinstance(front_end, MelFrontEnd):
        weights |= {
            f"backbone.feature_extractor.{name}": t for name, t in spectrogram_tables(front_end.bins).items()
        }
    for name, module in encoder.named_modules():
        if parametrize.is_parametrized(module, "weight"):
            weights[f"{name}.weight"] = module.weight
    return {name: weight for name, weight in weights.items() if ".parametrizations." not in name}


def _as_ort(tensor: Tensor) -> Any:
    return onnxruntime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(tensor.detach().float().numpy()))
