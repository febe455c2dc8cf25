"""`python -m benchmarks.model [--manifest CSV] [--compile]`: the emotion model by size, precision and batch.

Writes model.md. Times are of whole forwards (both encoders, co-attention, heads) and of the audio encoder
through other back ends; the peak that they are held against is measured in the same run.
"""

from __future__ import annotations

import argparse
import gc
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import backends
from benchmarks.machine import stamp
from benchmarks.peak import matmul_peak, median_seconds
from benchmarks.sizes import Size, medians, model_of
from emostream.models.collate import AudioBatch, TextBatch
from emostream.models.device import cast_weights
from emostream.models.emotion import EmotionModel
from emostream.models.granularity import SpanBatch
from emostream.models.precision import has_native_bfloat16
from emostream.models.types import SAMPLE_RATE_HZ

RESULTS = Path(__file__).with_name("model.md")
TOKENS: Final = 24
SPANS: Final = {"phone": 40, "syllable": 16, "word": 11}
"""In every clip, whatever its length: the words of about four seconds."""

SHAPES: Final = ((1, 1), (1, 4), (1, 16), (4, 4), (16, 4), (64, 4))
"""Clips in a batch, seconds of each."""

MOST_SECONDS: Final = {"cpu": 64, "cuda": 256}
"""Of sound in one batch: past that a processor gains nothing, and a full-size run takes minutes."""

DTYPES: Final = {"fp32": torch.float32, "bf16": torch.bfloat16}
REPEATS: Final[dict[Size, int]] = {"bundled": 15, "full size": 5}


@dataclass(frozen=True)
class Cell:
    """One measurement. seconds: of a forward; share: of the device's matmul peak in that precision."""

    seconds: float
    share: float


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.model", description=__doc__)
    parser.add_argument(
        "--manifest", type=Path, help="labelled clips (as for training) on which back ends must agree"
    )
    parser.add_argument("--compile", action="store_true", help="torch.compile too; needs a C++ compiler")
    arguments = parser.parse_args()
    text = document(stamp(), arguments.manifest, compiled=arguments.compile)
    RESULTS.write_text(text, encoding="utf-8")
    print(text)


def document(stamp: str, manifest: Path | None = None, *, compiled: bool = False, smoke: bool = False) -> str:
    """The whole page. stamp: date, commit and machine. manifest, compiled: see `backends.section`. smoke: one
    call of the bundled model in each shape; no export of graphs, which takes a minute.
    """
    devices = [torch.device("cpu")] + [torch.device("cuda")] * torch.cuda.is_available()
    repeats: Mapping[Size, int] = {"bundled": 1} if smoke else REPEATS
    return "\n".join(
        [
            "# The emotion model's speed\n",
            f"Measured by `python -m benchmarks.model` or `make bench` on {stamp}.",
            f"{torch.get_num_threads()} threads. GPU: {_gpu()}.\n",
            *_forwards(devices, repeats),
            *([] if smoke else backends.section(manifest, repeats, compiled=compiled)),
            "",
        ]
    )


def _precisions(device: torch.device) -> list[str]:
    """A processor without bfloat16 emulates it, tens of times slower than float32."""
    has_all = device.type == "cuda" or has_native_bfloat16()
    return [name for name in DTYPES if has_all or name != "bf16"]


def _gpu() -> str:
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "none, not measured"


@torch.no_grad()
def _forwards(devices: list[torch.device], repeats: Mapping[Size, int]) -> Iterator[str]:
    peaks = {
        (device.type, name): matmul_peak(device, DTYPES[name])
        for device in devices
        for name in _precisions(device)
    }
    yield "## Whole forwards\n"
    for (kind, name), peak in peaks.items():
        yield f"- measured matmul peak, {kind}, {name}: {peak / 1e9:.0f} GFLOP/s"
    if ("cpu", "bf16") not in peaks:
        yield "- cpu, bf16: not measured, this processor has no instructions for it"
    yield f"\n{medians(repeats)}"
    yield f"forwards; {TOKENS} tokens a clip. Share: of the peak above, by counted operations, those of"
    yield "attention included.\n"
    yield (
        "| model | encoders | clips x seconds | GFLOP per audio second | CPU ms | CPU ms per audio second "
        "| share of peak | GPU ms | GPU ms per audio second | share of peak |"
    )
    yield "|---|---|---|---|---|---|---|---|---|---|"
    for which, times in repeats.items():
        operations = _operations(which)
        for name in DTYPES:
            yield from _rows(which, name, devices, peaks, operations, times)


def _rows(
    which: Size,
    name: str,
    devices: list[torch.device],
    peaks: dict[tuple[str, str], float],
    operations: dict[int, float],
    repeats: int,
) -> Iterator[str]:
    cells: dict[tuple[str, tuple[int, int]], Cell] = {}
    for device in devices:
        if name not in _precisions(device):
            continue
        model = make_model(which, device, DTYPES[name])
        for shape in SHAPES:
            if shape[0] * shape[1] > MOST_SECONDS[device.type]:
                continue
            print(f"{which}, {name}, {device}: {shape[0]} x {shape[1]} s", file=sys.stderr, flush=True)
            audio, text, spans = inputs(model, *shape, device)
            taken = median_seconds(partial(model.forward, audio, text, spans), device, repeats)
            share = shape[0] * operations[shape[1]] / taken / peaks[device.type, name]
            cells[device.type, shape] = Cell(taken, share)
        del model
        gc.collect()
    for clips, seconds in dict.fromkeys(shape for _, shape in cells):
        columns = [_columns(cells.get((kind, (clips, seconds))), clips * seconds) for kind in ("cpu", "cuda")]
        yield (
            f"| {which} | {name} | {clips} x {seconds} | {operations[seconds] / seconds / 1e9:.2f} | "
            + " | ".join(columns)
            + " |"
        )


def _columns(cell: Cell | None, audible: int) -> str:
    """Milliseconds a forward, milliseconds a second of sound, share of the peak."""
    if cell is None:
        return "not measured | | "
    return f"{cell.seconds * 1e3:.1f} | {cell.seconds * 1e3 / audible:.2f} | {cell.share:.0%}"


def make_model(which: Size, device: torch.device, dtype: torch.dtype) -> EmotionModel:
    """In eval mode, encoders in `dtype`."""
    torch.manual_seed(0)
    model = model_of(which)
    model.to(device)
    cast_weights(model.audio_encoder, dtype)
    cast_weights(model.text_encoder, dtype)
    return model


def inputs(
    model: EmotionModel, clips: int, seconds: int, device: torch.device
) -> tuple[AudioBatch, TextBatch, dict[str, SpanBatch]]:
    """Noise, random tokens, and even spans, of equal lengths."""
    samples = seconds * SAMPLE_RATE_HZ
    everyone = torch.ones(clips, dtype=torch.bool)
    audio = AudioBatch(torch.randn(clips, samples), torch.ones(clips, samples, dtype=torch.bool), everyone)
    ids = torch.randint(5, model.config.text_config.vocab_size, (clips, TOKENS))
    text = TextBatch(ids, torch.ones(clips, TOKENS, dtype=torch.bool), everyone)
    spans = {}
    for kind in model.config.spans:
        edges = torch.linspace(0, samples, SPANS[kind] + 1).long()
        bounds = torch.stack([edges[:-1], edges[1:]], dim=1).expand(clips, -1, -1)
        spans[kind] = SpanBatch(bounds, torch.ones(bounds.shape[:2], dtype=torch.bool)).to(device)
    return audio.to(device), text.to(device), spans


def _operations(which: Size) -> dict[int, float]:
    """Seconds of a clip -> floating-point operations of its forward, on any device and in any precision.

    A batch of equal clips costs that for each. Counted on the CPU with attention as plain products, because
    the counter takes the fused kernels there for nothing.
    """
    cpu = torch.device("cpu")
    model = make_model(which, cpu, torch.float32)
    counts: dict[int, float] = {}
    for seconds in sorted({seconds for _, seconds in SHAPES}):
        audio, text, spans = inputs(model, 1, seconds, cpu)
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            model(audio, text, spans)
        counts[seconds] = float(counter.get_total_flops())
    return counts


if __name__ == "__main__":
    main()
