"""The parts of `benchmarks.gpu`: each measures on a device and returns rows of the table."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.gpu_networks import SECONDS, TOKENS, batch_of, network, noise_task
from benchmarks.gpu_streams import LIMIT_S, PERIOD_S, streams_carried
from benchmarks.peak import matmul_peak, median_seconds
from emostream.models.collate import AudioBatch, TextBatch
from emostream.models.emotion import EmotionModel
from emostream.models.encoders.factory import FreezeDepth, freeze
from emostream.training.emotion.lora import add_adapters
from emostream.training.trainer.callbacks import NoCallback
from emostream.training.trainer.runtime import Runtime, allow_tf32, make_accelerator
from emostream.training.trainer.settings import TrainerSettings
from emostream.training.trainer.trainer import Trainer

Row = tuple[str, ...]
"""Part, of what, measured."""


@dataclass(frozen=True, slots=True)
class Part:
    """measure: of a device's name and whether the networks are tiny. limit_s: of its process."""

    measure: Callable[[str, bool], list[Row]]
    limit_s: float


def _peak(device: str, tiny: bool) -> list[Row]:
    allow_tf32(True)
    name = torch.cuda.get_device_name() if device == "cuda" else "CPU"
    return [
        (
            "matmul peak",
            f"{name}, {label}",
            f"{_peak_of(torch.device(device), dtype, tiny) / 1e12:.3g} TFLOP/s",
        )
        for label, dtype in _precisions(device).items()
    ]


def _precisions(device: str) -> dict[str, torch.dtype | None]:
    """By the name that the table has. None is float32."""
    if device == "cpu":
        return {"float32": None}
    return {"float32 (TF32)": None, "bfloat16": torch.bfloat16, "float16": torch.float16}


def _peak_of(device: torch.device, dtype: torch.dtype | None, tiny: bool) -> float:
    """Measured floating-point operations a second; of one small matrix product in a dry run."""
    if not tiny:
        return matmul_peak(device, dtype or torch.float32)
    a = torch.randn(128, 128, device=device, dtype=dtype or torch.float32)
    return 2 * 128**3 / median_seconds(lambda: a @ a, device, repeats=3)


def _encode(device: str, tiny: bool) -> list[Row]:
    return _inference(device, tiny, "encode", lambda model, audio, text: model.encode_audio(audio))


def _utterance(device: str, tiny: bool) -> list[Row]:
    return _inference(device, tiny, "whole utterance", lambda model, audio, text: model(audio, text))


def _inference(
    device: str, tiny: bool, part: str, call: Callable[[EmotionModel, AudioBatch, TextBatch], Any]
) -> list[Row]:
    """Milliseconds an utterance by batch and precision, and the share of the measured matmul peak."""
    allow_tf32(True)
    place, model, rows = torch.device(device), network(tiny), list[Row]()
    model.to(device).eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        call(model, *batch_of(1, place))
    operations = counter.get_total_flops()
    for label, dtype in _precisions(device).items():
        peak = _peak_of(place, dtype, tiny)
        for size in (1, 2) if tiny else (1, 8, 32):
            batch = batch_of(size, place)
            with torch.inference_mode(), _autocast(device, dtype):
                seconds = median_seconds(partial(call, model, *batch), place, repeats=5 if tiny else 10)
            share = 100 * size * operations / seconds / peak
            rows.append(
                (
                    part,
                    f"{SECONDS:g} s, batch {size}, {label}",
                    f"{1000 * seconds / size:.2f} ms an utterance, {share:.0f} % of peak",
                )
            )
    return rows


def _train(device: str, tiny: bool) -> list[Row]:
    """Steps a second and memory of the three ways of training the encoders."""
    ways: dict[str, tuple[FreezeDepth, int]] = {
        "frozen encoders": ("all", 0),
        "LoRA, rank 8": ("front_end", 8),
        "full fine-tuning": ("front_end", 0),
    }
    return [("training", name, _steps(device, tiny, frozen, rank)) for name, (frozen, rank) in ways.items()]


def _steps(device: str, tiny: bool, frozen: FreezeDepth, rank: int) -> str:
    settings = TrainerSettings(
        epochs=1, batch_seconds=16.0 if tiny else 144.0, gradient_checkpointing=True, patience=0
    )
    model = network(tiny)
    freeze(model.audio_encoder, frozen)
    freeze(model.text_encoder, "all" if frozen == "all" else "none")
    for encoder in (model.audio_encoder, model.text_encoder):
        if rank:
            add_adapters(encoder, rank, 16)
        encoder.checkpoint_gradients()
    task = noise_task(model, settings, clips=16 if tiny else 256)
    accelerator = make_accelerator("auto", cpu=device == "cpu")
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(task, settings, 1, Runtime(accelerator, Path(folder), NoCallback()))
        batches = task.epoch_batches(0)
        for _ in range(2):
            trainer.step(batches[0])
        count = 2 if tiny else 8
        began = time.perf_counter()
        for step in range(count):
            trainer.step(batches[step % len(batches)])
        seconds = (time.perf_counter() - began) / count
        trainer.close()
    memory = (
        f"{torch.cuda.max_memory_allocated() / 2**30:.1f} GiB" if device == "cuda" else "memory not measured"
    )
    return (
        f"{1 / seconds:.2f} steps/s of {settings.batch_seconds:g} padded seconds, "
        f"{'float32' if accelerator.mixed_precision == 'no' else accelerator.mixed_precision}, {memory}"
    )


def _streams(device: str, tiny: bool) -> list[Row]:
    what = (
        f"{SECONDS:g} s and {TOKENS} tokens every {PERIOD_S:g} s a stream, p95 of an analysis under "
        f"{1000 * LIMIT_S:.0f} ms"
    )
    return [("streams", what, streams_carried(device, tiny))]


def _tests(device: str, tiny: bool) -> list[Row]:
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-m",
        "cuda",
        "tests/unit/cuda",
        "-p",
        "no:cacheprovider",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    last = (done.stdout.strip().splitlines() or ["no output"])[-1].strip("= ")
    return [("CUDA tests", "pytest -m cuda tests/unit/cuda", last)]


PARTS: Final = {
    "matmul peak": Part(_peak, 30),
    "encode": Part(_encode, 60),
    "whole utterance": Part(_utterance, 60),
    "training": Part(_train, 140),
    "streams": Part(_streams, 100),
    "CUDA tests": Part(_tests, 90),
}


def _autocast(device: str, dtype: torch.dtype | None) -> AbstractContextManager[Any]:
    return nullcontext() if dtype is None else torch.autocast(device, dtype)
