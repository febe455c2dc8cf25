"""Progress in the log and in the bar, and the metric that selects an epoch."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from emostream.training.run_log import RunLog
from emostream.training.trainer.callbacks import ProgressBarCallback, progress_bars
from emostream.training.trainer.history import History
from emostream.training.trainer.log_callback import LogCallback


def test_the_log_has_the_start_some_steps_and_every_epoch(tmp_path: Path) -> None:
    """Losses are means since the last such line: 0 to 199, then 200 to 399."""
    callback = LogCallback(RunLog(tmp_path / "log.txt"), "distillation")
    callback.on_train_begin(500, 7)
    for number in range(450):
        callback.on_step_end(number, {"loss": float(number), "frames": 1.0}, 0.1)
    callback.on_epoch_end(2, 449, {"agreement": -0.25, "clips": 0.5})
    lines = (tmp_path / "log.txt").read_text().splitlines()
    assert [line.partition(" s  ")[2] for line in lines] == [
        "distillation: 7 of 500 steps are done",
        "distillation 200/500: loss 99.500, frames 1.000",
        "distillation 400/500: loss 299.500, frames 1.000",
        "distillation, epoch 3: validation agreement -0.250, clips 0.500",
    ]


@pytest.mark.parametrize(("keep", "kept"), [("best", 1), ("last", 2)])
def test_the_first_metric_selects_the_best_epoch(keep: str, kept: int) -> None:
    history = History()
    kept_epochs = [
        history.add_epoch({"agreement": agreement, "ua": ua}, keep)  # type: ignore[arg-type]
        for agreement, ua in ((-0.9, 0.9), (-0.2, 0.1), (-0.2, 0.5))
    ]
    assert kept_epochs == [True, True, keep == "last"]
    assert (history.best, history.kept) == (1, kept)


def test_the_bar_shows_the_first_metric_by_its_name() -> None:
    console = Console(file=io.StringIO(), width=140, force_terminal=True)
    with progress_bars(console) as bars:
        bar = ProgressBarCallback(bars, "distillation")
        bar.on_train_begin(10, 0)
        bar.on_epoch_end(0, 9, {"agreement": -0.25, "ua": 0.9})
        bars.refresh()
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "epoch 1: validation AGREEMENT -0.250" in shown
    assert "0.9" not in shown
