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

import numpy as np
import torch
from msgspec.structs import replace
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from torch.utils.flop_counter import FlopCounterMode
from transformers import BertConfig, Wav2Vec2Config

from benchmarks.peak import matmul_peak, median_seconds
from emostream.models import LABELS, SAMPLE_RATE_HZ
from emostream.models.collate import AudioBatch, TextBatch
from emostream.models.config import EmotionConfig, reference_config
from emostream.models.emotion import EmotionModel
from emostream.models.encoders.factory import FreezeDepth, freeze
from emostream.training.corpora.example import Example
from emostream.training.data.audio_cache import AudioCache
from emostream.training.emotion.collator import Collator
from emostream.training.emotion.inputs import TrainingInputs
from emostream.training.emotion.lora import add_adapters
from emostream.training.emotion.module import EmotionTrainingModule
from emostream.training.emotion.predict import PredictionRuntime
from emostream.training.emotion.settings import ContrastiveSettings, DataSettings
from emostream.training.emotion.task import EmotionTask
from emostream.training.trainer.callbacks import NoCallback
from emostream.training.trainer.runtime import Runtime, allow_tf32, make_accelerator
from emostream.training.trainer.settings import TrainerSettings
from emostream.training.trainer.trainer import Trainer

Row = tuple[str, ...]
"""Part, of what, measured."""

SECONDS: Final = 4.0
TOKENS: Final = 16
PERIOD_S: Final = 8.0
"""Between the ends of a speaker's utterances in a conversation of two."""
PRECISIONS: Final = {"float32 (TF32)": None, "bfloat16": torch.bfloat16, "float16": torch.float16}


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
        for label, dtype in PRECISIONS.items()
        if device == "cuda" or dtype is None
    ]


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
    place, model, rows = torch.device(device), _model(tiny), list[Row]()
    model.to(device).eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        call(model, *_batch(1, place))
    operations = counter.get_total_flops()
    for label, dtype in PRECISIONS.items():
        if device == "cpu" and dtype is not None:
            continue
        peak = _peak_of(place, dtype, tiny)
        for size in (1, 2) if tiny else (1, 8, 32):
            batch = _batch(size, place)
            with torch.inference_mode(), _autocast(device, dtype):
                seconds = median_seconds(partial(call, model, *batch), place, repeats=5 if tiny else 10)
            share = 100 * size * operations / seconds / peak
            rows.append(
                (
                    part,
                    f"{SECONDS:g} s, batch {size}, {label}",
                    f"{1000 * seconds / size:.2f} ms an utterance, {share:.0f} % of peak, "
                    f"{size * PERIOD_S / seconds:.0f} streams",
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
    model = _model(tiny)
    freeze(model.audio_encoder, frozen)
    freeze(model.text_encoder, "all" if frozen == "all" else "none")
    for encoder in (model.audio_encoder, model.text_encoder):
        if rank:
            add_adapters(encoder, rank, 16)
        encoder.checkpoint_gradients()
    task = _task(model, settings, clips=16 if tiny else 256)
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
        f"{accelerator.mixed_precision}, {memory}"
    )


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
    "matmul peak": Part(_peak, 40),
    "encode": Part(_encode, 90),
    "whole utterance": Part(_utterance, 90),
    "training": Part(_train, 150),
    "CUDA tests": Part(_tests, 100),
}


def _autocast(device: str, dtype: torch.dtype | None) -> AbstractContextManager[Any]:
    return nullcontext() if dtype is None else torch.autocast(device, dtype)


def _model(tiny: bool) -> EmotionModel:
    torch.manual_seed(0)
    if not tiny:
        return EmotionModel(reference_config(granularities=("frame",)))
    audio = Wav2Vec2Config(
        conv_dim=[16] * 7, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32
    )
    text = BertConfig(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32)
    return EmotionModel(
        EmotionConfig(audio_config=audio, text_config=text, width=32, heads=2, feed_forward=32)
    )


def _batch(size: int, device: torch.device) -> tuple[AudioBatch, TextBatch]:
    samples = torch.randn(size, int(SECONDS * SAMPLE_RATE_HZ))
    ids = torch.randint(1000, 2000, (size, TOKENS))
    present = torch.ones(size, dtype=torch.bool)
    audio = AudioBatch(samples, torch.ones_like(samples, dtype=torch.bool), present)
    return audio.to(device), TextBatch(ids, torch.ones_like(ids, dtype=torch.bool), present).to(device)


def _task(model: EmotionModel, settings: TrainerSettings, clips: int) -> EmotionTask:
    """Clips of noise of 2 to 8 s, each with a line of words; labels in rotation."""
    rng = np.random.default_rng(0)
    examples = [
        Example(
            corpus="noise",
            key=f"noise/{number}",
            emotion=LABELS[number % 4],
            emotion_orig=LABELS[number % 4],
            path=Path(f"{number}.wav"),
            words=" ".join(f"w{word}" for word in rng.integers(0, 900, TOKENS - 2)),
        )
        for number in range(clips)
    ]
    lengths = (rng.uniform(2.0, 8.0, clips) * SAMPLE_RATE_HZ).astype(int)
    ends = np.cumsum(lengths).tolist()
    spans = {
        example.key: (end - int(n), end) for example, end, n in zip(examples, ends, lengths, strict=True)
    }
    samples = rng.integers(-8000, 8000, ends[-1]).astype(np.int16)
    words = {name: number for number, name in enumerate(["[UNK]", *(f"w{word}" for word in range(900))])}
    tokenizer = Tokenizer(WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    labels = {example.key: LABELS.index(example.emotion) for example in examples}
    data = replace(DataSettings(), text_source="gold", max_seconds=8.0)
    return EmotionTask(
        EmotionTrainingModule(model, ContrastiveSettings(alpha=0.3)),
        examples,
        examples[:8],
        Collator(TrainingInputs(AudioCache(samples, spans), tokenizer), data, model, labels),
        labels,
        settings,
        1,
        PredictionRuntime(next(model.parameters()).device),
    )
