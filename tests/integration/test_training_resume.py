"""Runs that are killed and resumed to the same bits, and a model that overfits a few examples."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from emostream.training.trainer.history import History
from emostream.training.trainer.settings import TrainerSettings
from emostream.training.trainer.snapshots import WEIGHTS_FILE, load_if_complete
from tests.support.shared import REPO
from tests.support.tensorboard_runs import run_with_tensorboard, tensorboard_steps
from tests.support.training_task import (
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


@pytest.fixture(autouse=True, scope="module")
def _quick_collections() -> Iterator[None]:
    with quick_collections():
        yield


@pytest.fixture(autouse=True)
def _one_thread_and_no_accelerator() -> Iterator[None]:
    with one_thread(), fresh_accelerator():
        yield


@pytest.fixture(scope="module")
def uninterrupted_emotion(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, bytes], History]:
    with one_thread():
        task, history = emotion_run(tmp_path_factory.mktemp("uninterrupted"))
    return bits(task), history


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for every run that a SIGKILL ended, see `training_task`."""
    folder = tmp_path_factory.mktemp("killed")
    program = [sys.executable, "-m", "tests.support.training_task", str(folder)]
    done = subprocess.run(program, cwd=REPO, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return folder


def test_a_run_killed_during_any_write_resumes_to_the_same_bits(tmp_path: Path, killed: Path) -> None:
    """Of the snapshot and of the best weights: before the first byte, and after half of them."""
    task, history = line_run(tmp_path / "uninterrupted")
    names = [folder.name for folder in killed.glob("line-*")]
    assert len(names) > 2 * (3 + 3)  # a mid-epoch snapshot and one at the end for each of three epochs
    for name in names:
        folder = Path(shutil.copytree(killed / name, tmp_path / name))
        resumed, same = line_run(folder)
        assert same == history, name
        assert bits(resumed) == bits(task), name
        assert not list(folder.glob("*.part"))


@pytest.mark.parametrize("name", ["emotion-2-0.5", "emotion-4-0.5"])
def test_a_killed_run_of_an_emotion_model_resumes_to_the_same_bits(
    killed: Path, tmp_path: Path, uninterrupted_emotion: tuple[dict[str, bytes], History], name: str
) -> None:
    resumed, history = emotion_run(Path(shutil.copytree(killed / name, tmp_path / name)))
    assert (bits(resumed), history) == uninterrupted_emotion


def test_the_best_weights_are_written_before_the_snapshot_that_counts_them(killed: Path) -> None:
    """So a kill between the two repeats the epoch's end; in the other order the weights would be lost."""
    between = killed / "line-2-0.0"  # writes: snapshot of step 2, best of epoch 0, snapshot of epoch 0
    snapshot = load_if_complete(between / "snapshot.pt")
    assert snapshot is not None
    assert (snapshot["epoch"], snapshot["step"], snapshot["history"]["epochs"]) == (0, 2, [])
    assert (between / WEIGHTS_FILE).exists()


@pytest.mark.parametrize("run_of", ["line-0-0.5", "line-3-0.5", "line-5-0.5", "line-8-0.5"])
def test_the_curves_of_a_killed_run_have_no_gaps_and_no_duplicates(
    killed: Path, tmp_path: Path, run_of: str
) -> None:
    """The snapshot is behind the curves: steps that are run again have one point."""
    folder = tmp_path / run_of
    shutil.copytree(killed / run_of, folder)
    (first,) = (folder / "board").iterdir()
    first.rename(folder / "board" / "events.out.tfevents.0000000001.earlier")  # files are read by time
    run_with_tensorboard(folder)
    steps = tensorboard_steps(folder / "board")
    assert steps["train/loss"] == list(range(12))
    assert steps["validation/ua"] == [3, 7, 11]


def test_an_emotion_model_overfits_eight_examples(tmp_path: Path) -> None:
    settings = TrainerSettings(
        epochs=60, batch=8, learning_rate=5e-3, encoder_rate=2e-3, layer_decay=1.0, patience=0, warmup=0.1
    )
    task = emotion_task(corpus(8, complete=True), settings)
    history = run(task, settings, tmp_path)
    assert len(task.validation) == 8
    assert history.epochs[history.best]["wa"] == 1.0
    assert history.steps[-1]["loss"] < 0.1 * history.steps[0]["loss"]
