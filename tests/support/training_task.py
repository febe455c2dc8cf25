"""Small things to train: a line through points, and a tiny emotion model on a corpus of tones with words.

As a program, `python -m tests.support.training_task FOLDER`, it is a run that is killed at every write of its
files.
"""

from __future__ import annotations

import gc
import importlib
import io
import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate.state import AcceleratorState
from torch import Tensor, nn

from emostream.models import LABELS, Alignment, Span, Word
from emostream.models.emotion import EmotionModel
from emostream.training.augmentation.settings import AugmentSettings
from emostream.training.corpora.example import Example
from emostream.training.data.audio_cache import AudioCache
from emostream.training.emotion.collator import Collator
from emostream.training.emotion.inputs import TrainingInputs
from emostream.training.emotion.module import EmotionTrainingModule
from emostream.training.emotion.predict import PredictionRuntime
from emostream.training.emotion.settings import ContrastiveSettings, DataSettings
from emostream.training.emotion.task import EmotionTask
from emostream.training.trainer.callbacks import NoCallback, TensorBoardCallback, TrainingCallback
from emostream.training.trainer.history import History
from emostream.training.trainer.runtime import Runtime, make_accelerator
from emostream.training.trainer.seeding import example_rng
from emostream.training.trainer.settings import TrainerSettings
from emostream.training.trainer.task import Losses, Task
from emostream.training.trainer.trainer import fit
from tests.support.tiny_emotion import SENTENCES, noise, tiny_config, tiny_tokenizer

GOLD = DataSettings(text_source="gold", drop_audio=0.0, drop_text=0.0)
NOISY = AugmentSettings(
    speed=0.5, noise=0.5, codec=0.3, reverb=0.3, equalizer=0.5, silence=0.5, text_noise=0.5
)


class Line(nn.Module):
    """A line's slope through a hidden layer with dropout; counts its own steps in a buffer."""

    steps: Tensor

    def __init__(self, dropout: float) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Dropout(dropout), nn.Linear(8, 1))
        self.register_buffer("steps", torch.zeros(()))

    def forward(self, batch: Points) -> Losses:
        if self.training:
            self.steps += 1
        return {"loss": (self.net(batch.x) - batch.y).square().mean(), "steps": self.steps.clone()}


@dataclass(frozen=True)
class Points:
    """x: (B, 3); y: (B, 1)."""

    x: Tensor
    y: Tensor

    def to(self, device: torch.device) -> Points:
        return Points(self.x.to(device), self.y.to(device))


@dataclass(frozen=True)
class LineTask:
    """14 noisy points in four batches; validation on the same points without noise, or by `script`."""

    module: Line
    script: Sequence[float] = ()
    validations: list[int] = field(default_factory=list)

    def parameter_groups(self) -> list[dict[str, object]]:
        first, *_, last = self.module.net
        return [
            {"params": list(last.parameters()), "lr": 0.05},
            {"params": list(first.parameters()), "lr": 0.02},
        ]

    def epoch_batches(self, epoch: int) -> list[list[int]]:
        order: list[int] = np.random.default_rng([5, epoch]).permutation(14).tolist()
        return [order[start : start + 4] for start in range(0, 14, 4)]

    def make_batch(self, items: Sequence[int], counted: Sequence[bool], epoch: int) -> Points:
        x = np.stack([example_rng(3, 0, str(item)).standard_normal(3) for item in items])
        noise_y = np.stack([0.1 * example_rng(3, epoch + 1, str(item)).standard_normal(1) for item in items])
        return Points(torch.tensor(x).float(), torch.tensor(x[:, :1] - 2 * x[:, 1:2] + noise_y).float())

    def validate(self, process: int, processes: int) -> list[float]:
        self.validations.append(len(self.validations))
        with torch.no_grad():
            return [float(self.module(self.make_batch([item], [True], -1))["loss"]) for item in range(14)]

    def metrics(self, predictions: Sequence[float]) -> Mapping[str, float]:
        if self.script:
            return {"ua": self.script[self.validations[-1]]}
        return {"ua": -float(np.mean(predictions))}


def corpus(count: int, *, complete: bool = False) -> list[Example]:
    """Labels in rotation. Unless `complete`, some lack words and some lack audio."""
    return [
        Example(
            corpus="tones",
            key=f"tones/{number}",
            emotion=LABELS[number % 4],
            emotion_orig=LABELS[number % 4],
            path=Path(f"{number}.wav") if complete or number % 7 != 6 else None,
            words=SENTENCES[number % 4] if complete or number % 5 != 3 or number % 7 == 6 else "",
            speaker=f"s{number % 3}",
        )
        for number in range(count)
    ]


def numbers(examples: Sequence[Example]) -> dict[str, int]:
    return {example.key: LABELS.index(example.emotion) for example in examples}


def sounds_of(examples: Sequence[Example]) -> AudioCache:
    """Each label has its own pitch; 0.4 to 0.8 s."""
    pieces, spans, position = [np.zeros(0, np.int16)], {}, 0
    for number, example in enumerate(examples):
        if example.path is None:
            continue
        length = 6400 + 800 * (number % 9)
        hertz = 200.0 * (1 + LABELS.index(example.emotion))
        tone = np.sin(2 * np.pi * hertz * np.arange(length) / 16_000) + noise(length, seed=number)
        pieces.append((8000 * tone).astype(np.int16))
        spans[example.key] = (position, position + length)
        position += length
    return AudioCache(np.concatenate(pieces), spans)


def even_alignment(words: str, samples: int) -> Alignment:
    """Every word as long as every other; a phone and a syllable each."""
    parts = words.split()
    bounds = [samples * index // max(1, len(parts)) for index in range(len(parts) + 1)]
    segments = list(zip(parts, bounds, bounds[1:], strict=False))
    spans = tuple(Span(*segment) for segment in segments)
    return Alignment(tuple(Word(*segment) for segment in segments), spans, spans, "even")


def inputs_of(examples: Sequence[Example]) -> TrainingInputs:
    sounds = sounds_of(examples)
    alignments = {
        example.key: even_alignment(example.words, end - start)
        for example in examples
        if example.words and example.key in sounds.spans
        for start, end in [sounds.spans[example.key]]
    }
    return TrainingInputs(sounds, tiny_tokenizer(), alignments=alignments)


def network(dropout: float = 0.0, seed: int = 0, **changes: Any) -> EmotionModel:
    """dropout: of everything, the encoders included."""
    chosen: dict[str, Any] = {"granularities": ("frame", "word"), "dropout": dropout} | changes
    config = tiny_config(**chosen)
    for encoder in (config.audio_config, config.text_config):
        for name in encoder.to_dict():
            if name.endswith(("dropout", "dropout_prob")) and name != "layerdrop":
                setattr(encoder, name, dropout)
    torch.manual_seed(seed)
    return EmotionModel(config)


def emotion_task(
    examples: Sequence[Example],
    trainer: TrainerSettings,
    data: DataSettings = GOLD,
    contrast: ContrastiveSettings | None = None,
    model: EmotionModel | None = None,
    seed: int = 1,
) -> EmotionTask:
    """Trained on all examples and validated on the first eleven of them."""
    model = network() if model is None else model
    labels = numbers(examples)
    torch.manual_seed(7)
    module = EmotionTrainingModule(model, contrast or ContrastiveSettings(), data.label_smoothing)
    batches = Collator(inputs_of(examples), data, model, labels)
    runtime = PredictionRuntime(torch.device("cpu"), trainer.evaluation_seconds)
    return EmotionTask(
        module, examples, examples[:11], batches, labels, trainer, seed, runtime, data.balanced
    )


def run(
    task: Task[Any], trainer: TrainerSettings, folder: Path, callback: TrainingCallback | None = None
) -> History:
    runtime = Runtime(make_accelerator("no", cpu=True), folder, callback or NoCallback())
    return fit(task, trainer, 1, runtime)


def bits(task: Task[Any]) -> dict[str, bytes]:
    """Weights and buffers as bytes."""
    return {name: tensor.numpy().tobytes() for name, tensor in task.module.state_dict().items()}


@contextmanager
def fresh_accelerator() -> Iterator[None]:
    """Accelerate fixes the precision once a process; before and after this block it is unset."""
    AcceleratorState._reset_state(reset_partial_state=True)
    try:
        yield
    finally:
        AcceleratorState._reset_state(reset_partial_state=True)


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread of torch: sums in one order."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def quick_collections() -> Iterator[None]:
    """Keeps the libraries' objects out of the garbage collection that ends each run: half a second."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


LINE_SETTINGS = TrainerSettings(epochs=3, batch=4, patience=0, save_every=2, average_decay=0.9)
EMOTION_SETTINGS = TrainerSettings(epochs=2, batch=4, patience=0, save_every=2, average_decay=0.9)


def line_run(folder: Path, callback: TrainingCallback | None = None) -> tuple[LineTask, History]:
    task = LineTask(Line(dropout=0.3))
    return task, run(task, LINE_SETTINGS, folder, callback)


def emotion_run(folder: Path, callback: TrainingCallback | None = None) -> tuple[EmotionTask, History]:
    """Everything random: dropout, augmentation, absent modalities; and MINE's moving average."""
    data = DataSettings(text_source="gold", drop_audio=0.2, drop_text=0.2, augment=NOISY)
    contrast = ContrastiveSettings(objective="mine", alpha=0.3)
    task = emotion_task(corpus(14), EMOTION_SETTINGS, data, contrast, network(dropout=0.2))
    return task, run(task, EMOTION_SETTINGS, folder, callback)


def killed_at_every_write(folder: Path) -> None:
    """FOLDER/line-W-S: a run that died in its write W after the share S of the bytes; FOLDER/emotion-..."""
    importlib.import_module("torch.utils.tensorboard")  # once, and not in every child
    with one_thread():
        write = 0
        while all(_is_killed(folder / f"line-{write}-{share}", line_run, write, share) for share in SHARES):
            write += 1
        for write in (2, 4):
            assert _is_killed(folder / f"emotion-{write}-0.5", emotion_run, write, 0.5)


SHARES = (0.0, 0.5)


def _is_killed(folder: Path, train: Any, write: int, share: float) -> bool:
    """Whether the run had that many writes."""
    child = os.fork()
    if not child:
        _kill_in_write(write, share)
        board = TensorBoardCallback(folder / "board")
        train(folder, board)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) or status == 0
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


def _kill_in_write(number: int, share: float) -> None:
    writes = iter(range(1_000))
    original = torch.save

    def save(state: object, out: io.BufferedWriter) -> None:
        original(state, buffer := io.BytesIO())
        data = buffer.getvalue()
        if next(writes) == number:
            out.write(data[: int(share * len(data))])
            out.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        out.write(data)

    torch.save = save  # type: ignore[assignment]


if __name__ == "__main__":
    killed_at_every_write(Path(sys.argv[1]))
