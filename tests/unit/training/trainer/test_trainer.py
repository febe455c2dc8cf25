"""The loop: what every step does, when it stops, and that a stopped run goes on as if it had not stopped."""

from __future__ import annotations

import io
import math
import re
import shutil
import subprocess
import sys
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
    TensorBoardCallback,
    TrainingCallback,
    progress_bars,
)
from emostream.training.trainer.history import History
from emostream.training.trainer.settings import TrainerSettings
from emostream.training.trainer.trainer import (
    WEIGHTS_FILE,
    Runtime,
    WeightAverage,
    fit,
    load_if_complete,
    load_trainable_state_dict,
    make_accelerator,
    save_atomically,
    trainable_state_dict,
)
from tests.support.shared import REPO
from tests.support.training_task import (
    LINE_LOOP,
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
    """Somebody pulled the plug."""


@dataclass
class PullsThePlug:
    """Before anything of this step, or of this epoch's end, is on disk."""

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
class Rates:
    """What a watch was told of the learning rate."""

    seen: list[float] = field(default_factory=list)

    def on_train_begin(self, total_steps: int, completed_steps: int) -> None: ...

    def on_step_end(self, step: int, losses: Mapping[str, float], learning_rate: float) -> None:
        assert step == len(self.seen)
        self.seen.append(learning_rate)

    def on_epoch_end(self, epoch: int, step: int, metrics: Mapping[str, float]) -> None: ...


@pytest.fixture(autouse=True, scope="module")
def _quick_collections() -> Iterator[None]:
    with quick_collections():
        yield


@pytest.fixture(autouse=True)
def _one_thread_and_no_accelerator() -> Iterator[None]:
    with one_thread(), fresh_accelerator():
        yield


def slow_run(loop: TrainerSettings, factors: Sequence[float]) -> LineTask:
    """The loop written out by hand: gradients are cut to their norm, rates are those of the step."""
    task = LineTask(Line(0.0))
    groups = task.parameter_groups()
    rates = [float(str(group["lr"])) for group in groups]
    optimizer = torch.optim.AdamW(groups, weight_decay=loop.weight_decay)
    items = [(epoch, batch) for epoch in range(loop.epochs) for batch in task.epoch_batches(epoch)]
    for (epoch, batch), factor in zip(items, factors, strict=True):
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = factor * rate
        optimizer.zero_grad()
        task.module(task.make_batch(batch, [True] * len(batch), epoch))["loss"].backward()
        gradients = [weights.grad for weights in task.module.parameters() if weights.grad is not None]
        norm = math.sqrt(sum(float(gradient.square().sum()) for gradient in gradients))
        for gradient in gradients:
            gradient *= min(1.0, loop.clip_norm / norm)
        optimizer.step()
    return task


def test_clipping_warm_up_and_every_group_s_rate_reach_the_optimizer(tmp_path: Path) -> None:
    loop = TrainerSettings(epochs=2, batch=4, warmup=0.5, clip_norm=0.2, weight_decay=0.1, patience=0)
    factors = [1 / 4, 2 / 4, 3 / 4, 1, 1, 3 / 4, 2 / 4, 1 / 4]
    task, rates = LineTask(Line(0.0), script=(0.1, 0.2)), Rates()
    run(task, loop, tmp_path, rates)
    assert rates.seen == pytest.approx([0.05 * factor for factor in factors])
    expected = slow_run(loop, factors).module
    for name, weights in task.module.state_dict().items():
        torch.testing.assert_close(weights, expected.state_dict()[name], rtol=0, atol=1e-6)
    unclipped = slow_run(replace(loop, clip_norm=1e9), factors).module
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
def test_it_stops_after_so_many_epochs_without_a_better_one_and_keeps_the_best(
    tmp_path: Path, patience: int, script: tuple[float, ...], epochs: int, best: int
) -> None:
    loop = TrainerSettings(epochs=5, batch=4, patience=patience)
    task = LineTask(Line(0.0), script)
    history = run(task, loop, tmp_path)
    assert [metrics["ua"] for metrics in history.epochs] == list(script[:epochs])
    assert history.best == best
    assert task.module.steps == 4 * (best + 1)  # the weights are those of that epoch, not of the last
    assert not task.module.training


def test_a_run_that_was_over_trains_no_more(tmp_path: Path) -> None:
    task, history = line_run(tmp_path)
    again, same = line_run(tmp_path, PullsThePlug(at_step=len(history.steps) - 1))
    assert same == history
    assert bits(again) == bits(task)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_no_number_ends_the_run(tmp_path: Path, value: float) -> None:
    class Broken(LineTask):
        def make_batch(self, items: Sequence[int], counted: Sequence[bool], epoch: int) -> Points:
            points = super().make_batch(items, counted, epoch)
            return Points(points.x, points.y * value) if epoch == 1 else points

    with pytest.raises(FloatingPointError, match=r"finite loss, got (nan|inf) in epoch 2, step 1: lower the"):
        run(Broken(Line(0.0)), LINE_LOOP, tmp_path)


@pytest.mark.parametrize(("save_every", "decay"), [(0, 0.0), (0, 0.9), (1, 0.0), (3, 0.9)])
def test_a_run_stopped_at_any_step_goes_on_to_the_same_bits(
    tmp_path: Path, save_every: int, decay: float
) -> None:
    loop = replace(LINE_LOOP, save_every=save_every, average_decay=decay)
    whole = LineTask(Line(0.3))
    history = run(whole, loop, tmp_path / "whole")
    assert len(history.steps) == 12
    for step in range(12):
        folder, resumed = tmp_path / str(step), LineTask(Line(0.3))
        with pytest.raises(KilledError):
            run(LineTask(Line(0.3)), loop, folder, PullsThePlug(at_step=step))
        assert run(resumed, loop, folder) == history, step
        assert bits(resumed) == bits(whole), step


@pytest.mark.parametrize("stop", [PullsThePlug(at_step=1), PullsThePlug(at_step=6), PullsThePlug(at_epoch=0)])
def test_so_does_a_whole_model_with_all_that_is_drawn(
    tmp_path: Path, whole_emotion: tuple[dict[str, bytes], History], stop: PullsThePlug
) -> None:
    with pytest.raises(KilledError):
        emotion_run(tmp_path, stop)
    resumed, history = emotion_run(tmp_path)
    assert (bits(resumed), history) == whole_emotion


@pytest.fixture(scope="module")
def whole_emotion(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, bytes], History]:
    with one_thread():
        task, history = emotion_run(tmp_path_factory.mktemp("whole"))
    return bits(task), history


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for every run that a SIGKILL ended, see `training_task`."""
    folder = tmp_path_factory.mktemp("killed")
    program = [sys.executable, "-m", "tests.support.training_task", str(folder)]
    done = subprocess.run(program, cwd=REPO, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return folder


def test_a_kill_in_the_middle_of_any_write_changes_nothing(tmp_path: Path, killed: Path) -> None:
    """Of the snapshot and of the best weights: before the first byte, and after half of them."""
    task, history = line_run(tmp_path / "whole")
    names = [folder.name for folder in killed.glob("line-*")]
    assert len(names) > 2 * (3 + 3)  # a mid-epoch snapshot and one at the end for each of three epochs
    for name in names:
        folder = Path(shutil.copytree(killed / name, tmp_path / name))
        resumed, same = line_run(folder)
        assert same == history, name
        assert bits(resumed) == bits(task), name
        assert not list(folder.glob("*.part"))


@pytest.mark.parametrize("name", ["emotion-2-0.5", "emotion-4-0.5"])
def test_nor_does_it_to_a_whole_model(
    killed: Path, tmp_path: Path, whole_emotion: tuple[dict[str, bytes], History], name: str
) -> None:
    resumed, history = emotion_run(Path(shutil.copytree(killed / name, tmp_path / name)))
    assert (bits(resumed), history) == whole_emotion


def test_the_best_weights_are_written_before_the_snapshot_that_counts_them(killed: Path) -> None:
    """So a kill between the two repeats the epoch's end; the other way round would lose the weights."""
    between = killed / "line-2-0.0"  # writes: snapshot of step 2, best of epoch 0, snapshot of epoch 0
    snapshot = load_if_complete(between / "snapshot.pt")
    assert snapshot is not None
    assert (snapshot["epoch"], snapshot["step"], snapshot["history"]["epochs"]) == (0, 2, [])
    assert (between / WEIGHTS_FILE).exists()


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


def test_frozen_weights_are_in_no_snapshot_and_buffers_are() -> None:
    module = Line(0.0)
    module.net[0].requires_grad_(False)
    assert set(trainable_state_dict(module)) == {"net.3.weight", "net.3.bias", "steps"}


def test_the_average_follows_the_weights_and_steps_aside() -> None:
    module = nn.Linear(1, 1, bias=False)
    values, average = [1.0, 3.0, -2.0, 5.0], 0.0
    with torch.no_grad():
        module.weight.fill_(0.0)
        running = WeightAverage(module, decay=0.3)
        for number, value in enumerate(values, start=1):
            module.weight.fill_(value)
            running.update()
            decay = min(0.3, (1 + number) / (10 + number))
            average = decay * average + (1 - decay) * value
    with pytest.raises(KilledError), running.applied():
        assert module.weight.item() == pytest.approx(average)
        raise KilledError
    assert module.weight.item() == 5.0


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
    for process, (mine, counted) in enumerate(shares):
        assert shard_batch(items, process, processes) == (mine, [bool(one) for one in counted])


def test_half_precision_runs_on_the_cpu(tmp_path: Path) -> None:
    losses = {}
    for precision in ("no", "bf16"):
        with fresh_accelerator():
            task = emotion_task(corpus(8), TrainerSettings(epochs=1, batch=4, patience=0))
            place = Runtime(make_accelerator(precision, cpu=True), tmp_path / precision, NoCallback())
            history = fit(task, task.loop, 1, place)
            losses[precision] = history.steps[0]["loss"]
            assert all(weights.dtype == torch.float32 for weights in task.module.parameters())
    assert losses["bf16"] == pytest.approx(losses["no"], rel=0.02)
    assert losses["bf16"] != losses["no"]


def board_steps(folder: Path) -> dict[str, list[int]]:
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
    return {tag: [event.step for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def boarded(folder: Path) -> History:
    board = TensorBoardCallback(folder / "board")
    try:
        return line_run(folder, board)[1]
    finally:
        board.close()


def test_tensorboard_reads_every_curve(tmp_path: Path) -> None:
    history = boarded(tmp_path)
    steps = board_steps(tmp_path / "board")
    assert steps == {
        "train/loss": list(range(12)),
        "train/steps": list(range(12)),
        "train/learning rate": list(range(12)),
        "validation/ua": [3, 7, 11],
    }
    events = EventAccumulator(str(tmp_path / "board")).Reload().Scalars("train/loss")
    assert [event.value for event in events] == pytest.approx([losses["loss"] for losses in history.steps])


@pytest.mark.parametrize("run_of", ["line-0-0.5", "line-3-0.5", "line-5-0.5", "line-8-0.5"])
def test_a_killed_run_s_curves_have_neither_gaps_nor_doubles(
    killed: Path, tmp_path: Path, run_of: str
) -> None:
    """The snapshot lags behind the curves: what is trained again is drawn once."""
    folder = tmp_path / run_of
    shutil.copytree(killed / run_of, folder)
    (first,) = (folder / "board").iterdir()
    first.rename(folder / "board" / "events.out.tfevents.0000000001.earlier")  # files are read by time
    boarded(folder)
    steps = board_steps(folder / "board")
    assert steps["train/loss"] == list(range(12))
    assert steps["validation/ua"] == [3, 7, 11]


class Clock:
    """Goes on where a test moves it."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_bar_shows_the_time_left_and_the_figures() -> None:
    clock, screen = Clock(), io.StringIO()
    console = Console(file=screen, force_terminal=True, width=120, get_time=clock)
    with progress_bars(console) as bars:
        bar = ProgressBarCallback(bars, "baseline")
        bar.on_train_begin(100, completed_steps=40)  # resumed: what was done before says nothing of the speed
        for number in range(40, 50):
            clock.now += 45.0  # slower than any bar's usual memory of half a minute
            bar.on_step_end(number, {"loss": 1.2345}, 1e-3)
        bar.on_epoch_end(4, 49, {"ua": 0.6789})
        bars.refresh()
        shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", screen.getvalue()).replace("\r", "\n").splitlines()[-1]
        assert "baseline" in shown
        assert "50/100" in shown
        assert "0:37:30" in shown  # 50 steps of 45 s
        assert "loss 1.234" in shown
        assert "epoch 5: validation UA 0.679" in shown


def test_several_watch_at_once(tmp_path: Path) -> None:
    first, second = Rates(), Rates()
    watches: TrainingCallback = CallbackList(first, NoCallback(), second)
    line_run(tmp_path, watches)
    assert len(first.seen) == 12
    assert first.seen == second.seen


def test_it_learns_eight_examples_by_heart(tmp_path: Path) -> None:
    loop = TrainerSettings(
        epochs=60, batch=8, learning_rate=5e-3, encoder_rate=2e-3, layer_decay=1.0, patience=0, warmup=0.1
    )
    task = emotion_task(corpus(8, whole=True), loop)
    history = run(task, loop, tmp_path)
    assert len(task.validation) == 8
    assert history.epochs[history.best]["wa"] == 1.0
    assert history.steps[-1]["loss"] < 0.1 * history.steps[0]["loss"]
