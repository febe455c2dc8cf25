"""The trainer: what every step does, when it stops, and that an interrupted run resumes bit for bit."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from msgspec.structs import replace
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # type: ignore[import-untyped]
from torch import nn

from emostream.training.trainer.batching import shard_batch
from emostream.training.trainer.callbacks import (
    CallbackList,
    NoCallback,
    ProgressBarCallback,
    TrainingCallback,
    progress_bars,
)
from emostream.training.trainer.history import History
from emostream.training.trainer.runtime import Runtime, make_accelerator
from emostream.training.trainer.settings import TrainerSettings
from emostream.training.trainer.snapshots import (
    load_if_complete,
    load_trainable_state_dict,
    save_atomically,
    trainable_state_dict,
)
from emostream.training.trainer.trainer import fit
from emostream.training.trainer.weight_average import WeightAverage
from tests.support.tensorboard_runs import run_with_tensorboard, tensorboard_steps
from tests.support.training_task import (
    LINE_SETTINGS,
    Line,
    LineTask,
    Points,
    bits,
    corpus,
    emotion_run,
    emotion_task,
    fresh_accelerator,
    line_run,
    one_thread,
    quick_collections,
    run,
)


class KilledError(Exception):
    """Raised in place of a kill."""


@dataclass
class KillingCallback:
    """Ends the run before anything of this step, or of this epoch's end, is on disk."""

    at_step: int = -1
    at_epoch: int = -1

    def on_train_begin(self, total_steps: int, completed_steps: int) -> None: ...

    def on_step_end(self, step: int, losses: Mapping[str, float], learning_rate: float) -> None:
        if step == self.at_step:
            raise KilledError

    def on_epoch_end(self, epoch: int, step: int, metrics: Mapping[str, float]) -> None:
        if epoch == self.at_epoch:
            raise KilledError


@dataclass
class RecordRates:
    """Records the learning rate of every step."""

    rates: list[float] = field(default_factory=list)

    def on_train_begin(self, total_steps: int, completed_steps: int) -> None: ...

    def on_step_end(self, step: int, losses: Mapping[str, float], learning_rate: float) -> None:
        assert step == len(self.rates)
        self.rates.append(learning_rate)

    def on_epoch_end(self, epoch: int, step: int, metrics: Mapping[str, float]) -> None: ...


@pytest.fixture(autouse=True, scope="module")
def _quick_collections() -> Iterator[None]:
    with quick_collections():
        yield


@pytest.fixture(autouse=True)
def _one_thread_and_no_accelerator() -> Iterator[None]:
    with one_thread(), fresh_accelerator():
        yield


def reference_run(settings: TrainerSettings, factors: Sequence[float]) -> LineTask:
    """The training loop written out by hand: clipped gradients, and the learning rate of each step."""
    task = LineTask(Line(0.0))
    groups = task.parameter_groups()
    rates = [float(str(group["lr"])) for group in groups]
    optimizer = torch.optim.AdamW(groups, weight_decay=settings.weight_decay)
    items = [(epoch, batch) for epoch in range(settings.epochs) for batch in task.epoch_batches(epoch)]
    for (epoch, batch), factor in zip(items, factors, strict=True):
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = factor * rate
        optimizer.zero_grad()
        task.module(task.make_batch(batch, [True] * len(batch), epoch))["loss"].backward()
        gradients = [weights.grad for weights in task.module.parameters() if weights.grad is not None]
        norm = math.sqrt(sum(float(gradient.square().sum()) for gradient in gradients))
        for gradient in gradients:
            gradient *= min(1.0, settings.clip_norm / norm)
        optimizer.step()
    return task


def test_clipping_warm_up_and_the_rate_of_every_group_reach_the_optimizer(tmp_path: Path) -> None:
    settings = TrainerSettings(epochs=2, batch=4, warmup=0.5, clip_norm=0.2, weight_decay=0.1, patience=0)
    factors = [1 / 4, 2 / 4, 3 / 4, 1, 1, 3 / 4, 2 / 4, 1 / 4]
    task, recorded = LineTask(Line(0.0), script=(0.1, 0.2)), RecordRates()
    run(task, settings, tmp_path, recorded)
    assert recorded.rates == pytest.approx([0.05 * factor for factor in factors])
    expected = reference_run(settings, factors).module
    for name, weights in task.module.state_dict().items():
        torch.testing.assert_close(weights, expected.state_dict()[name], rtol=0, atol=1e-6)
    unclipped = reference_run(replace(settings, clip_norm=1e9), factors).module
    weights, others = (module.state_dict()["net.0.weight"] for module in (task.module, unclipped))
    assert not torch.allclose(weights, others, atol=1e-4)


@pytest.mark.parametrize(
    ("patience", "script", "epochs", "best"),
    [
        (0, (0.5, 0.4, 0.3, 0.2, 0.1), 5, 0),
        (1, (0.5, 0.4, 0.9, 0.9, 0.9), 2, 0),
        (2, (0.5, 0.4, 0.6, 0.6, 0.6), 5, 2),
        (2, (0.5, 0.6, 0.1, 0.2, 0.9), 4, 1),
        (3, (0.1, 0.2, 0.3, 0.4, 0.5), 5, 4),
    ],
)
def test_early_stopping_after_patience_epochs_keeps_the_best(
    tmp_path: Path, patience: int, script: tuple[float, ...], epochs: int, best: int
) -> None:
    settings = TrainerSettings(epochs=5, batch=4, patience=patience)
    task = LineTask(Line(0.0), script)
    history = run(task, settings, tmp_path)
    assert [metrics["ua"] for metrics in history.epochs] == list(script[:epochs])
    assert history.best == best
    assert task.module.steps == 4 * (best + 1)  # the weights are those of that epoch, not of the last
    assert not task.module.training


def test_a_finished_run_is_not_trained_again(tmp_path: Path) -> None:
    task, history = line_run(tmp_path)
    again, same = line_run(tmp_path, KillingCallback(at_step=len(history.steps) - 1))
    assert same == history
    assert bits(again) == bits(task)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_ends_the_run(tmp_path: Path, value: float) -> None:
    class Broken(LineTask):
        def make_batch(self, items: Sequence[int], counted: Sequence[bool], epoch: int) -> Points:
            points = super().make_batch(items, counted, epoch)
            return Points(points.x, points.y * value) if epoch == 1 else points

    with pytest.raises(FloatingPointError, match=r"finite loss, got (nan|inf) in epoch 2, step 1: lower the"):
        run(Broken(Line(0.0)), LINE_SETTINGS, tmp_path)


@pytest.mark.parametrize(
    ("save_every", "decay"),
    [
        pytest.param(0, 0.0, marks=pytest.mark.long),
        pytest.param(0, 0.9, marks=pytest.mark.long),
        pytest.param(1, 0.0, marks=pytest.mark.long),
        (3, 0.9),
    ],
)
def test_a_run_interrupted_at_any_step_resumes_to_the_same_bits(
    tmp_path: Path, save_every: int, decay: float
) -> None:
    settings = replace(LINE_SETTINGS, save_every=save_every, average_decay=decay)
    uninterrupted = LineTask(Line(0.3))
    history = run(uninterrupted, settings, tmp_path / "uninterrupted")
    assert len(history.steps) == 12
    for step in range(12):
        folder, resumed = tmp_path / str(step), LineTask(Line(0.3))
        with pytest.raises(KilledError):
            run(LineTask(Line(0.3)), settings, folder, KillingCallback(at_step=step))
        assert run(resumed, settings, folder) == history, step
        assert bits(resumed) == bits(uninterrupted), step


@pytest.mark.long
@pytest.mark.parametrize(
    "stop", [KillingCallback(at_step=1), KillingCallback(at_step=6), KillingCallback(at_epoch=0)]
)
def test_an_interrupted_emotion_model_resumes_to_the_same_bits(
    tmp_path: Path, uninterrupted_emotion: tuple[dict[str, bytes], History], stop: KillingCallback
) -> None:
    with pytest.raises(KilledError):
        emotion_run(tmp_path, stop)
    resumed, history = emotion_run(tmp_path)
    assert (bits(resumed), history) == uninterrupted_emotion


@pytest.fixture(scope="module")
def uninterrupted_emotion(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, bytes], History]:
    with one_thread():
        task, history = emotion_run(tmp_path_factory.mktemp("uninterrupted"))
    return bits(task), history


def test_a_half_written_file_leaves_the_older_one(tmp_path: Path) -> None:
    file = tmp_path / "state.pt"
    assert load_if_complete(file) is None
    save_atomically({"epoch": 1, "weights": torch.ones(3)}, file)
    file.with_name("state.pt.part").write_bytes(b"PK half of it")
    state = load_if_complete(file)
    assert state is not None
    assert state["epoch"] == 1
    save_atomically({"epoch": 2}, file)
    assert load_if_complete(file) == {"epoch": 2}


def test_the_weights_of_another_network_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected the weights of this network, 2 differ \(1\.bias"):
        load_trainable_state_dict(
            nn.Sequential(nn.Linear(2, 2)),
            trainable_state_dict(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))),
        )


def test_snapshots_hold_buffers_and_no_frozen_weights() -> None:
    module = Line(0.0)
    module.net[0].requires_grad_(False)
    assert set(trainable_state_dict(module)) == {"net.3.weight", "net.3.bias", "steps"}


@pytest.mark.parametrize("resumed_after", [0, 2])
def test_the_average_is_applied_for_a_block_and_resumed(resumed_after: int) -> None:
    module = nn.Linear(1, 1)
    module.bias.requires_grad_(False)
    values, expected = [1.0, 3.0, -2.0, 5.0], 0.0
    module.weight.data.fill_(0.0)
    average = WeightAverage(module, decay=0.3)
    for number, value in enumerate(values, start=1):
        module.weight.data.fill_(value)
        average.update()
        decay = min(0.3, (1 + number) / (10 + number))
        expected = decay * expected + (1 - decay) * value
        if number == resumed_after:
            state = average.state_dict()
            average = WeightAverage(module, decay=0.3)
            average.load_state_dict(state)
    bias = module.bias.item()
    with pytest.raises(KilledError), average.applied():
        assert module.weight.item() == pytest.approx(expected)
        assert module.bias.item() == bias
        raise KilledError
    assert module.weight.item() == 5.0


def test_no_frozen_weight_is_averaged() -> None:
    module = Line(0.0)
    module.net[0].requires_grad_(False)
    tensors = WeightAverage(module, decay=0.9).state_dict().values()
    assert [tuple(tensor.shape) for tensor in tensors] == [(), (1, 8), (1,)]  # the count, weight, bias


@pytest.mark.parametrize(
    ("items", "processes", "shares"),
    [
        ([4, 5, 6, 7], 1, [([4, 5, 6, 7], [1, 1, 1, 1])]),
        ([4, 5, 6], 2, [([4, 6], [1, 1]), ([5, 4], [1, 0])]),
        ([4, 5], 3, [([4], [1]), ([5], [1]), ([4], [0])]),
        ([9], 2, [([9], [1]), ([9], [0])]),
    ],
)
def test_processes_share_a_batch(
    items: list[int], processes: int, shares: list[tuple[list[int], list[int]]]
) -> None:
    for process, (shard, counted) in enumerate(shares):
        assert shard_batch(items, process, processes) == (shard, [bool(flag) for flag in counted])


def test_half_precision_runs_on_the_cpu(tmp_path: Path) -> None:
    losses = {}
    for precision in ("no", "bf16"):
        with fresh_accelerator():
            task = emotion_task(corpus(8), TrainerSettings(epochs=1, batch=4, patience=0))
            runtime = Runtime(make_accelerator(precision, cpu=True), tmp_path / precision, NoCallback())
            history = fit(task, task.trainer, 1, runtime)
            losses[precision] = history.steps[0]["loss"]
            assert all(weights.dtype == torch.float32 for weights in task.module.parameters())
    assert losses["bf16"] == pytest.approx(losses["no"], rel=0.02)
    assert losses["bf16"] != losses["no"]


def test_tensorboard_shows_every_curve(tmp_path: Path) -> None:
    history = run_with_tensorboard(tmp_path)
    steps = tensorboard_steps(tmp_path / "board")
    assert steps == {
        "train/loss": list(range(12)),
        "train/steps": list(range(12)),
        "train/learning rate": list(range(12)),
        "validation/ua": [3, 7, 11],
    }
    events = EventAccumulator(str(tmp_path / "board")).Reload().Scalars("train/loss")
    assert [event.value for event in events] == pytest.approx([losses["loss"] for losses in history.steps])


class Clock:
    """Advanced by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_progress_bar_shows_the_time_left_and_the_metric() -> None:
    clock, screen = Clock(), io.StringIO()
    console = Console(file=screen, force_terminal=True, width=120, get_time=clock)
    with progress_bars(console) as bars:
        bar = ProgressBarCallback(bars, "baseline")
        bar.on_train_begin(100, completed_steps=40)  # resumed: earlier steps do not count for the speed
        for number in range(40, 50):
            clock.now += 45.0  # slower than a bar's usual window of half a minute
            bar.on_step_end(number, {"loss": 1.2345}, 1e-3)
        bar.on_epoch_end(4, 49, {"ua": 0.6789})
        bars.refresh()
        shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", screen.getvalue()).replace("\r", "\n").splitlines()[-1]
        assert "baseline" in shown
        assert "50/100" in shown
        assert "0:37:30" in shown  # 50 steps of 45 s
        assert "loss 1.234" in shown
        assert "epoch 5: validation UA 0.679" in shown


def test_several_callbacks(tmp_path: Path) -> None:
    first, second = RecordRates(), RecordRates()
    callbacks: TrainingCallback = CallbackList(first, NoCallback(), second)
    line_run(tmp_path, callbacks)
    assert len(first.rates) == 12
    assert first.rates == second.rates
