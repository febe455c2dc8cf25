"""What a step and a prediction keep in memory is bounded, however long the longest clip."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from msgspec.structs import replace
from torch.utils._python_dispatch import TorchDispatchMode

from emostream.models import LABELS
from emostream.training.corpora.example import Example
from emostream.training.data.audio_cache import AudioCache
from emostream.training.emotion.collator import Collator, EmotionBatch
from emostream.training.emotion.inputs import TrainingInputs
from emostream.training.emotion.module import EmotionTrainingModule
from emostream.training.emotion.predict import PredictionRuntime, predict
from emostream.training.emotion.settings import ContrastiveSettings, DataSettings
from emostream.training.emotion.task import EmotionTask
from emostream.training.trainer.settings import TrainerSettings
from tests.support.tiny_emotion import noise, tiny_model, tiny_tokenizer
from tests.support.training_task import GOLD, corpus, fresh_accelerator, network, numbers, one_thread

CPU = torch.device("cpu")
RATE_HZ = 16_000


@pytest.fixture(autouse=True)
def _one_thread_and_no_accelerator() -> Iterator[None]:
    with one_thread(), fresh_accelerator():
        yield


def inputs_of(examples: Sequence[Example], seconds: Sequence[float]) -> TrainingInputs:
    clips = [
        (8000 * noise(int(length * RATE_HZ), seed=row)).astype(np.int16) for row, length in enumerate(seconds)
    ]
    ends = np.cumsum([len(clip) for clip in clips]).tolist()
    spans = {
        example.key: (end - len(clip), end) for example, clip, end in zip(examples, clips, ends, strict=True)
    }
    return TrainingInputs(AudioCache(np.concatenate(clips), spans), tiny_tokenizer())


class LargestForward(TorchDispatchMode):
    """The numbers that the operations between two calls of `start` put out, at most: an upper bound of what a
    forward pass keeps, whatever its allocator does.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.largest: int = 0
        self._current = 0

    def start(self) -> None:
        self._current = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        for tensor in output if isinstance(output, tuple | list) else [output]:
            if isinstance(tensor, torch.Tensor):
                self._current += tensor.numel()
        self.largest = max(self.largest, self._current)
        return output


def activations_of_predictions(
    monkeypatch: pytest.MonkeyPatch, seconds: Sequence[float], data: DataSettings, budget_s: float
) -> int:
    examples = corpus(len(seconds), complete=True)
    model = tiny_model(granularities=("frame",))
    collator = Collator(inputs_of(examples, seconds), data, model, numbers(examples))
    with LargestForward() as counted:
        batch = collator.evaluation_batch

        def evaluation_batch(part: Sequence[Example]) -> EmotionBatch:
            counted.start()
            return batch(part)

        monkeypatch.setattr(collator, "evaluation_batch", evaluation_batch)
        found = predict(model, collator, examples, PredictionRuntime(CPU, budget_s))
    assert [one.key for one in found] == [example.key for example in examples]
    largest: int = counted.largest
    return largest


def test_predictions_of_the_longest_clips_need_no_more_than_the_budget(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Sixteen long clips took sixteen times the memory of one; now a batch is as large as the budget."""
    data = replace(GOLD, max_evaluation_seconds=3.0)

    def activations(seconds: Sequence[float], budget_s: float = 6.0) -> int:
        return activations_of_predictions(monkeypatch, seconds, data, budget_s)

    reference = activations([2.0] * 3)
    assert activations([3.0] * 12) < 1.3 * reference
    assert activations([0.5] * 40) < 1.3 * reference
    assert activations([30.0, 1.0, 1.0]) < 1.3 * reference
    assert activations([3.0] * 12, 1_000.0) > 4 * reference  # the measure can fail


def emotion_task(seconds: Sequence[float], trainer: TrainerSettings, **changes: Any) -> EmotionTask:
    examples = corpus(len(seconds), complete=True)
    model, labels = network(**({"granularities": ("frame",)} | changes)), numbers(examples)
    collator = Collator(inputs_of(examples, seconds), replace(GOLD, max_seconds=3.0), model, labels)
    module = EmotionTrainingModule(model, ContrastiveSettings(alpha=0.3))
    return EmotionTask(module, examples, examples, collator, labels, trainer, 1, PredictionRuntime(CPU))


def saved_for_the_gradient(task: EmotionTask) -> int:
    """The most numbers that a step of the first epoch keeps for its backward pass."""
    largest = 0
    for items in task.epoch_batches(0):
        saved: dict[int, int] = {}

        def pack(tensor: torch.Tensor, saved: dict[int, int] = saved) -> torch.Tensor:
            storage = tensor.untyped_storage()
            saved[storage.data_ptr()] = storage.nbytes() // tensor.element_size()
            return tensor

        batch = task.make_batch(items, [True] * len(items), 0)
        task.module.train()
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            task.module(batch)["loss"].backward()
        largest = max(largest, sum(saved.values()))
    return largest


def test_a_step_of_seconds_keeps_no_more_for_long_clips_than_for_short_ones() -> None:
    settings = TrainerSettings(batch_seconds=12.0)
    short = saved_for_the_gradient(emotion_task([0.75] * 32, settings))
    mixed = saved_for_the_gradient(emotion_task([3.0] * 8 + [0.75] * 16 + [40.0] * 2, settings))
    counted = saved_for_the_gradient(emotion_task([3.0] * 16, TrainerSettings(batch=16)))
    assert mixed < 1.6 * short  # attention grows with the square of the length
    assert counted > 3 * short


@pytest.mark.parametrize("norm", ["group", "layer"])
def test_checkpointing_gives_the_same_gradients_and_keeps_less(norm: str) -> None:
    gradients, kept = [], []
    for checkpointing in (False, True):
        task = emotion_task([1.0] * 8, TrainerSettings(batch=8), dropout=0.2)
        model = task.module.model
        if checkpointing:
            model.audio_encoder.checkpoint_gradients()
            model.text_encoder.checkpoint_gradients()
        torch.manual_seed(3)
        kept.append(saved_for_the_gradient(task))
        gradients.append({name: weights.grad for name, weights in model.named_parameters()})
    assert kept[1] < 0.8 * kept[0]
    for name, gradient in gradients[0].items():
        if gradient is None:
            assert gradients[1][name] is None, name
        else:
            torch.testing.assert_close(gradients[1][name], gradient, rtol=1e-4, atol=1e-7, msg=name)


def test_the_longest_training_clip_is_no_longer_than_the_settings_say() -> None:
    task = emotion_task([0.5, 40.0], TrainerSettings(batch_seconds=6.0))
    lengths = [task.collator.longest_training_s(example) for example in task.train]
    assert lengths == [0.5, 3.0]
    batch = task.make_batch([0, 1], [True, True], 0)
    assert batch.audio.mask.sum(1).tolist() == [RATE_HZ // 2, 3 * RATE_HZ]
    assert math.isclose(task.collator.length_s(task.train[1]), 40.0)
    assert {example.emotion for example in task.train} == set(LABELS[:2])
