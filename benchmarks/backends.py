"""The audio encoder on a CPU through torch and ONNX Runtime, in several precisions, in one run."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from emostream.models.calibration import fused_posterior
from emostream.models.checkpoint import BUNDLED, read_checkpoint
from emostream.models.collate import collate_audio, collate_text
from emostream.models.config import reference_config
from emostream.models.emotion import EmotionModel, Encoded
from emostream.models.types import SAMPLE_RATE_HZ, Samples
from emostream.training.corpora import read_manifest
from emostream.training.sounds import read_clip

from .peak import median_seconds

CPU: Final = torch.device("cpu")
SECONDS: Final = 4
REPEATS: Final = {"bundled": 25, "full size": 7}

Encode = Callable[[Tensor], Tensor]
"""(1, N) prepared waveform -> (1, T, H) mixed features, float32."""


class PlainEncoder(nn.Module):
    """One clip through wav2vec 2.0 and the mix of its layers: no padding, no hooks, so that it exports."""

    def __init__(self, model: EmotionModel) -> None:
        super().__init__()
        self.backbone = model.audio_encoder.backbone
        self.mix = model.audio_encoder.mix

    def forward(self, samples: Tensor) -> Tensor:
        encoder = self.backbone.encoder
        hidden = self.backbone.feature_projection(self.backbone.feature_extractor(samples).transpose(1, 2))[0]
        hidden = encoder.layer_norm(hidden + encoder.pos_conv_embed(hidden))
        states = [hidden]
        for layer in encoder.layers:
            output = layer(hidden)
            hidden = output[0] if isinstance(output, tuple) else output
            states.append(hidden)
        mixed: Tensor = self.mix(states)
        return mixed


@torch.no_grad()
def section(manifest: Path | None, *, compiled: bool) -> Iterator[str]:
    """Markdown lines. manifest: clips on whose labels the back ends are compared, None for none."""
    yield f"\n## The audio encoder on the CPU, one clip of {SECONDS} s\n"
    yield f"Median of {REPEATS['bundled']} (bundled) and {REPEATS['full size']} (full size, random weights),"
    yield "all in this run. Labels: fused, sound alone, that differ from torch fp32's; a full-size model of"
    yield "random weights has none. Error: of the features, relative.\n"
    yield "| model | back end | ms | against torch fp32 | error | labels changed |"
    yield "|---|---|---|---|---|---|"
    clips = _clips(manifest)
    for which in REPEATS:
        yield from _rows(which, clips if which == "bundled" else [], compiled=compiled)


def _clips(manifest: Path | None) -> list[Samples]:
    if manifest is None:
        return []
    examples = [example for example in read_manifest(manifest) if example.split == "test"]
    return [read_clip(manifest.parent / example.path) for example in examples]


def _rows(which: str, clips: list[Samples], *, compiled: bool) -> Iterator[str]:
    model = read_checkpoint(BUNDLED).model if which == "bundled" else EmotionModel(reference_config()).eval()
    sound = torch.randn(1, SECONDS * SAMPLE_RATE_HZ)
    plain = PlainEncoder(model)
    reference, labels, base = plain(sound), _labels(model, plain, clips), 0.0
    for name, encode in _encoders(model, compiled=compiled):
        if encode is None:
            yield f"| {which} | {name} | not measured: `pip install 'emostream[bench]'` | | | |"
            continue
        seconds = median_seconds(partial(encode, sound), CPU, REPEATS[which])
        base = base or seconds
        error = float((encode(sound) - reference).norm() / reference.norm())
        changed = sum(a != b for a, b in zip(_labels(model, encode, clips), labels, strict=True))
        agreed = f"{changed} of {len(clips)} ({changed / len(clips):.1%})" if clips else "not measured"
        yield f"| {which} | {name} | {seconds * 1e3:.1f} | {seconds / base:.2f} x | {error:.1e} | {agreed} |"


def _encoders(model: EmotionModel, *, compiled: bool) -> Iterator[tuple[str, Encode | None]]:
    plain = PlainEncoder(model)
    yield "torch fp32", plain
    if compiled:
        began = time.perf_counter()
        fast = torch.compile(plain, dynamic=True)
        for length in (SECONDS, SECONDS + 1):
            fast(torch.randn(1, length * SAMPLE_RATE_HZ))
        yield f"torch.compile fp32 (first calls {time.perf_counter() - began:.0f} s)", fast
    with tempfile.TemporaryDirectory() as folder:
        for name, session in _onnx(plain, Path(folder)):
            yield name, None if session is None else _through(session)
    plain.bfloat16()  # last: it changes the model's own weights
    yield "torch bf16", lambda sound: plain(sound.bfloat16()).float()


def _onnx(plain: PlainEncoder, folder: Path) -> Iterator[tuple[str, Any]]:
    if find_spec("onnx") is None or find_spec("onnxscript") is None:
        yield "ONNX Runtime fp32", None
        yield "ONNX Runtime int8", None
        return
    from onnxruntime.quantization import QuantType, quantize_dynamic

    whole, quantized = folder / "fp32.onnx", folder / "int8.onnx"
    torch.onnx.export(
        plain,
        (torch.randn(1, SECONDS * SAMPLE_RATE_HZ),),
        whole,
        input_names=["samples"],
        output_names=["features"],
        dynamic_shapes=({1: torch.export.Dim("n", min=SAMPLE_RATE_HZ // 4, max=30 * SAMPLE_RATE_HZ)},),
        external_data=False,
        verbose=False,
    )
    yield "ONNX Runtime fp32", _session(whole)
    # The convolutions' weights are computed (weight norm) or few; the products are where the time goes.
    quantize_dynamic(whole, quantized, weight_type=QuantType.QInt8, op_types_to_quantize=["MatMul", "Gemm"])
    yield "ONNX Runtime int8", _session(quantized)


def _session(file: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


def _through(session: Any) -> Encode:
    return lambda sound: torch.from_numpy(session.run(None, {"samples": sound.numpy()})[0])


def _labels(model: EmotionModel, encode: Encode, clips: list[Samples]) -> list[int]:
    """The fused label of each clip by its sound alone, with the features that `encode` gives."""
    labels = []
    nothing = collate_text([None], None, 1)  # type: ignore[arg-type]  # no text, no tokenizer
    for clip in clips:
        batch = collate_audio([clip], model.audio_encoder.waveform)
        features = encode(batch.samples)
        audio = Encoded(features, torch.ones(features.shape[:2], dtype=torch.bool), batch.present)
        logits = model.fuse(audio, model.encode_text(nothing)).logits()
        labels.append(int(np.argmax(fused_posterior(logits, "audio", model.config)[0].numpy())))
    return labels
