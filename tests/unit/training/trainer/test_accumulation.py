"""A batch computed in parts is trained on as the whole batch is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from msgspec.structs import replace
from torch import Tensor

from emostream.training.corpora.example import Example
from emostream.training.emotion.collator import Collator, EmotionBatch
from emostream.training.emotion.settings import ContrastiveSettings
from emostream.training.emotion.task import EmotionTask
from emostream.training.errors import SettingsError
from emostream.training.trainer.accumulation import backward_in_parts, check_divisible, divide
from emostream.training.trainer.runtime import make_accelerator
from emostream.training.trainer.settings import TrainerSettings
from tests.support.training_task import (
    GOLD,
    LINE_SETTINGS,
    Line,
    LineTask,
    corpus,
    emotion_task,
    fresh_accelerator,
    network,
    one_thread,
    quick_collections,
    run,
)

SETTINGS = TrainerSettings(epochs=1, batch=8, learning_rate=1e-2, encoder_rate=1e-3, patience=0)


@pytest.fixture(autouse=True)
def _one_thread_and_no_accelerator() -> Iterator[None]:
    with one_thread(), fresh_accelerator(), quick_collections():
        yield


def task_of(accumulation: int, objective: str, dropout: float = 0.0) -> EmotionTask:
    """Two batches of eight, in which some examples lack a modality."""
    contrast = ContrastiveSettings(objective=objective, alpha=0.4) if objective else None  # type: ignore[arg-type]
    settings = replace(SETTINGS, accumulation=accumulation)
    return emotion_task(
        corpus(16), settings, replace(GOLD, drop_text=0.2), contrast, network(dropout=dropout)
    )


def gradients(task: EmotionTask, parts: int) -> tuple[dict[str, Tensor], dict[str, float]]:
    """Of the first batch, computed in so many parts by the trainer's function; and the losses."""
    items = task.epoch_batches(0)[0]
    batches = [task.make_batch(part, [True] * len(part), 0) for part in divide(items, parts)]
    task.module.train()
    accelerator = make_accelerator("no", cpu=True)
    losses = backward_in_parts(task.module, batches, accelerator, lambda part: None)
    found = {name: w.grad for name, w in task.module.named_parameters() if w.grad is not None}
    return found, {name: float(value.detach()) for name, value in losses.items()}


@pytest.mark.parametrize("objective", ["", "bce", "infonce", "mine"])
def test_two_parts_of_four_are_one_batch_of_eight(objective: str) -> None:
    """As one pass with autograd alone finds it, pairs between the parts included. Sums in another order
    differ by some 1e-6 in float32, a term left out by 1e-3.
    """
    whole = task_of(1, objective)
    items = whole.epoch_batches(0)[0]
    whole.module.train()
    expected = whole.module(whole.make_batch(items, [True] * 8, 0))
    expected["loss"].backward()
    found, losses = gradients(task_of(2, objective), 2)
    assert losses == pytest.approx(
        {name: float(value.detach()) for name, value in expected.items()}, abs=1e-6
    )
    one = {name: w.grad for name, w in whole.module.named_parameters() if w.grad is not None}
    assert found.keys() == one.keys()
    largest = max(1.0, *(float(gradient.abs().max()) for gradient in one.values()))
    for name, gradient in one.items():
        torch.testing.assert_close(found[name], gradient, rtol=0, atol=1e-5 * largest, msg=name)


def test_the_losses_between_the_parts_matter() -> None:
    """The mean of the parts' own losses is another: what accumulation without a cache would train on."""
    task = task_of(1, "infonce")
    items = task.epoch_batches(0)[0]
    halves = [
        float(task.module(task.make_batch(part, [True] * 4, 0))["loss"].detach()) for part in divide(items, 2)
    ]
    whole = float(task.module(task.make_batch(items, [True] * 8, 0))["loss"].detach())
    assert abs(sum(halves) / 2 - whole) > 1e-3


def trained(
    folder: Path, accumulation: int, objective: str, dropout: float = 0.0
) -> tuple[dict[str, Tensor], list[dict[str, float]]]:
    """Weights and losses after an epoch."""
    task = task_of(accumulation, objective, dropout)
    history = run(task, task.trainer, folder)
    return {name: weights.clone() for name, weights in task.module.state_dict().items()}, history.steps


def test_the_trainer_takes_the_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    make = Collator.training_batch

    def record(self: Collator, examples: Sequence[Example], *others: Any) -> EmotionBatch:
        sizes.append(len(examples))
        return make(self, examples, *others)

    _, whole = trained(tmp_path / "whole", 1, "bce")
    monkeypatch.setattr(Collator, "training_batch", record)
    _, parts = trained(tmp_path / "parts", 2, "bce")
    assert sizes == [4, 4, 4, 4]
    assert [step["loss"] for step in parts] == pytest.approx([step["loss"] for step in whole], abs=1e-4)


def test_dropout_is_the_same_in_both_passes_and_differs_between_parts(tmp_path: Path) -> None:
    """Otherwise the gradient is not that of any loss, and training does not repeat."""
    first, losses = trained(tmp_path / "first", 2, "bce", dropout=0.3)
    again, same = trained(tmp_path / "again", 2, "bce", dropout=0.3)
    assert losses == same
    assert all(torch.equal(weights, again[name]) for name, weights in first.items())
    _, others = trained(tmp_path / "three", 3, "bce", dropout=0.3)
    assert others[0]["loss"] != losses[0]["loss"]


@pytest.mark.parametrize(
    ("count", "parts", "sizes"), [(8, 2, [4, 4]), (7, 3, [2, 2, 3]), (2, 4, [1, 1]), (5, 1, [5])]
)
def test_parts_are_nearly_equal_and_none_is_empty(count: int, parts: int, sizes: Sequence[int]) -> None:
    divided = divide(range(count), parts)
    assert [len(part) for part in divided] == sizes
    assert [item for part in divided for item in part] == list(range(count))


def test_a_loss_that_is_computed_at_once_is_not_divided(tmp_path: Path) -> None:
    with pytest.raises(
        SettingsError, match=r"expected accumulation = 1, got 2: Line computes its loss at once"
    ):
        run(LineTask(Line(0.0)), replace(LINE_SETTINGS, accumulation=2), tmp_path)


def test_several_processes_have_parts_already() -> None:
    with pytest.raises(SettingsError, match="expected one process where accumulation is 4, got 2: set"):
        check_divisible(Line(0.0), 4, processes=2)
