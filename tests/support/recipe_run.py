"""What the recipe's stages are tested on: a small synthetic corpus, and a callback that interrupts a run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import nn

from emostream.models import LABELS
from emostream.training.corpora.example import Example
from emostream.training.data.audio_cache import AudioCache
from emostream.training.trainer.callbacks import NoCallback, TrainingCallback
from emostream.training.trainer.history import History
from emostream.training.trainer.runtime import Runtime, make_accelerator
from tests.support.tiny_emotion import SENTENCES, noise

CLIPS = [
    Example(
        corpus="tones",
        key=f"{number}.flac",
        speaker=f"s{number % 3}",
        emotion=LABELS[number % 4],
        emotion_orig="",
        split="train",
    )
    for number in range(16)
]
LINES = [
    Example(corpus="lines", key=text, split="train", words=text, emotion=label, emotion_orig=label)
    for text, label in zip(SENTENCES, ("happy", "angry", "sad", "neutral"), strict=True)
]


def tones() -> AudioCache:
    """Of CLIPS: each label has its own pitch."""
    pieces, spans, position = [], {}, 0
    for number, clip in enumerate(CLIPS):
        length = 8_000 + 320 * (number % 5)
        hertz = 200.0 * (1 + LABELS.index(clip.emotion))
        tone = np.sin(2 * np.pi * hertz * np.arange(length) / 16_000) + noise(length, seed=number)
        pieces.append((8_000 * tone).astype(np.int16))
        spans[clip.key] = (position, position + length)
        position += length
    return AudioCache(np.concatenate(pieces), spans)


def runtime(folder: Path, callback: TrainingCallback | None = None) -> Runtime:
    return Runtime(make_accelerator("no", cpu=True), folder, callback or NoCallback())


class KilledError(Exception):
    """Simulates a killed run."""


class OneEpoch:
    """A callback that raises KilledError after one epoch."""

    def __init__(self) -> None:
        self._epoch_done = False

    def on_train_begin(self, total_steps: int, completed_steps: int) -> None: ...

    def on_step_end(self, step: int, losses: Mapping[str, float], learning_rate: float) -> None:
        if self._epoch_done:
            raise KilledError

    def on_epoch_end(self, epoch: int, step: int, metrics: Mapping[str, float]) -> None:
        self._epoch_done = True


def first_and_last(history: History, name: str = "loss") -> tuple[float, float]:
    """The mean loss of the first epoch's steps, and of the last one's."""
    steps = len(history.steps) // len(history.epochs)
    values = [losses[name] for losses in history.steps]
    return float(np.mean(values[:steps])), float(np.mean(values[-steps:]))


def same(first: nn.Module, second: nn.Module) -> bool:
    """Bit for bit."""
    others = second.state_dict()
    return all(torch.equal(weights, others[name]) for name, weights in first.state_dict().items())
