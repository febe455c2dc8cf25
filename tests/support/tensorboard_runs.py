"""A training run with TensorBoard, and the curves that it wrote."""

from __future__ import annotations

from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import (  # type: ignore[import-untyped]
    EventAccumulator,
)

from emostream.training.trainer.callbacks import TensorBoardCallback
from emostream.training.trainer.history import History
from tests.support.training_task import line_run


def run_with_tensorboard(folder: Path) -> History:
    board = TensorBoardCallback(folder / "board")
    try:
        return line_run(folder, board)[1]
    finally:
        board.close()


def tensorboard_steps(folder: Path) -> dict[str, list[int]]:
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
    return {tag: [event.step for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
