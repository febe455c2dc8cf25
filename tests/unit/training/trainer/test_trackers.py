"""Curves through Accelerate's trackers, read back by TensorBoard's own reader."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from emostream.training.errors import SettingsError
from emostream.training.trainer.runtime import make_accelerator
from emostream.training.trainer.trackers import PROJECT, TrackerCallback, check_tracker
from tests.support.tensorboard_runs import tensorboard_steps
from tests.support.training_task import fresh_accelerator


@pytest.fixture(autouse=True)
def _no_accelerator() -> Iterator[None]:
    with fresh_accelerator():
        yield


def test_every_curve_and_the_settings_reach_the_tracker(tmp_path: Path) -> None:
    accelerator = make_accelerator("no", cpu=True, log_with="tensorboard", log_folder=tmp_path)
    tracker = TrackerCallback(accelerator, {"seeds": [1, 2], "trainer": {"epochs": 2}, "name": "trial"})
    tracker.on_train_begin(3, 0)
    for step in range(3):
        tracker.on_step_end(step, {"loss": 1.0 / (step + 1), "contrast": 0.5}, 1e-3)
    tracker.on_epoch_end(0, 2, {"ua": 0.5})
    tracker.close()
    assert tensorboard_steps(tmp_path / PROJECT) == {
        "train/loss": [0, 1, 2],
        "train/contrast": [0, 1, 2],
        "train/learning rate": [0, 1, 2],
        "validation/ua": [2],
    }
    (settings,) = (tmp_path / PROJECT).rglob("hparams.yml")
    assert "trainer.epochs: 2" in settings.read_text(encoding="utf-8")


def test_an_unknown_tracker_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"one of aim, .* wandb, got waldb"):
        check_tracker("waldb")


def test_a_tracker_without_its_package_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Accelerate would train on and log nothing."""
    monkeypatch.setattr("emostream.training.trainer.trackers.get_available_trackers", list)
    with pytest.raises(SettingsError, match="expected the package of wandb for --log-with, got none"):
        check_tracker("wandb")
