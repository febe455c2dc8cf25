"""The audio encoder on a CPU through torch and ONNX Runtime, in several precisions, in one run."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from benchmarks.peak import median_seconds
from benchmarks.sizes import Size, medians, model_of
from emostream.models.calibration import fused_posterior
from emostream.models.collate import collate_audio, collate_text
from emostream.models.emotion import EmotionModel, EncodedModality
from emostream.models.encoders.export_module import ExportableEncoder, make_exportable
from emostream.models.encoders.onnx import INPUT, OnnxEncoder, export_graph, export_program
from emostream.models.precision import has_native_bfloat16
from emostream.models.types import SAMPLE_RATE_HZ, Samples
from emostream.training.corpora.manifest import read_manifest
from emostream.training.data.audio_cache import read_clip

CPU: Final = torch.device("cpu")
SECONDS: Final = 4

Encode = Callable[[Tensor], Tensor]
"""(1, N) prepared waveform -> (1, T, H) mixed features, float32."""


@torch.no_grad()
def section(manifest: Path | None, repeats: Mapping[Size, int], *, compiled: bool) -> Iterator[str]:
    """Markdown lines. manifest: clips on whose labels the back ends are compared, None for none. repeats: of
    the calls of each size that is measured.
    """
    yield f"\n## The audio encoder on the CPU, one clip of {SECONDS} s\n"
    yield f"{medians(repeats)}"
    yield "calls, all in this run. Labels: fused, sound alone, that differ from torch fp32's; a full-size"
    yield "model of random weights has none. Error: of the features, relative.\n"
    yield "| model | back end | ms | against torch fp32 | error | labels changed |"
    yield "|---|---|---|---|---|---|"
    clips = _clips(manifest)
    for which, times in repeats.items():
        yield from _rows(which, clips if which == "bundled" else [], times, compiled=compiled)


def _clips(manifest: Path | None) -> list[Samples]:
    if manifest is None:
        return []
    examples = [example for example in read_manifest(manifest) if example.split == "test"]
    return [read_clip(example.audio_path) for example in examples]


def _rows(which: Size, clips: list[Samples], repeats: int, *, compiled: bool) -> Iterator[str]:
    model = model_of(which)
    sound = torch.randn(1, SECONDS * SAMPLE_RATE_HZ)
    plain = _features(make_exportable(model.audio_encoder))
    reference, labels, base = plain(sound), _labels(model, plain, clips), 0.0
    for name, encode in _encoders(model, compiled=compiled):
        if encode is None:
            yield f"| {which} | {name} | not measured: `pip install 'emostream[train]'` | | | |"
            continue
        seconds = median_seconds(partial(encode, sound), CPU, repeats)
        base = base or seconds
        error = float((encode(sound) - reference).norm() / reference.norm())
        changed = sum(a != b for a, b in zip(_labels(model, encode, clips), labels, strict=True))
        agreed = f"{changed} of {len(clips)} ({changed / len(clips):.1%})" if clips else "not measured"
        yield f"| {which} | {name} | {seconds * 1e3:.1f} | {seconds / base:.2f} x | {error:.1e} | {agreed} |"


def _encoders(model: EmotionModel, *, compiled: bool) -> Iterator[tuple[str, Encode | None]]:
    plain = make_exportable(model.audio_encoder)
    yield "torch fp32", _features(plain)
    if compiled:
        began = time.perf_counter()
        fast = _features(torch.compile(plain, dynamic=True))
        for length in (SECONDS, SECONDS + 1):
            fast(torch.randn(1, length * SAMPLE_RATE_HZ))
        yield f"torch.compile fp32 (first calls {time.perf_counter() - began:.0f} s)", fast
    with tempfile.TemporaryDirectory() as folder:
        yield from _onnx(model, plain, Path(folder))
    if not has_native_bfloat16():
        return
    plain.bfloat16()  # last: it changes the weights
    yield "torch bf16", lambda sound: plain(sound.bfloat16())[0].float()


def _features(network: Callable[[Tensor], tuple[Tensor, ...]]) -> Encode:
    return lambda sound: network(sound)[0]


def _onnx(model: EmotionModel, plain: ExportableEncoder, folder: Path) -> Iterator[tuple[str, Encode | None]]:
    if find_spec("onnx") is None or find_spec("onnxscript") is None:
        yield "ONNX Runtime fp32", None
        yield "ONNX Runtime int8", None
        return
    from onnxruntime.quantization import QuantType, quantize_dynamic

    graph, whole, quantized = (folder / name for name in ("graph.onnx", "fp32.onnx", "int8.onnx"))
    export_graph(model.audio_encoder, graph)
    served = OnnxEncoder(graph, model.audio_encoder)
    yield "ONNX Runtime fp32", lambda sound: served(sound[0])[0][None]
    shortest = model.audio_encoder.waveform_spec.min_samples
    export_program(plain, shortest, optimize=True).save(whole, external_data=False)
    # The products are where the time goes; the convolutions stay as they are.
    quantize_dynamic(whole, quantized, weight_type=QuantType.QInt8, op_types_to_quantize=["MatMul", "Gemm"])
    session = _session(quantized)
    yield (
        "ONNX Runtime int8",
        lambda sound: torch.from_numpy(session.run(None, {INPUT: sound.numpy()})[0]),
    )


def _session(file: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


def _labels(model: EmotionModel, encode: Encode, clips: list[Samples]) -> list[int]:
    """The fused label of each clip by its sound alone, with the features that `encode` gives."""
    labels = []
    nothing = collate_text([None], None, 1)  # type: ignore[arg-type]  # no text, no tokenizer
    for clip in clips:
        batch = collate_audio([clip], model.audio_encoder.waveform_spec)
        features = encode(batch.samples)
        audio = EncodedModality(features, torch.ones(features.shape[:2], dtype=torch.bool), batch.present)
        logits = model.fuse(audio, model.encode_text(nothing)).logits()
        labels.append(int(np.argmax(fused_posterior(logits, "audio", model.config)[0])))
    return labels
