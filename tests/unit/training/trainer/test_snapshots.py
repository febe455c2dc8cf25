"""Snapshots written beside the steps: from copies, in order, with errors that come back."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from emostream.training.trainer import snapshots
from emostream.training.trainer.snapshots import SnapshotWriter, load_if_complete


class SlowDisk:
    """Holds every write until `released`; records what was written, in order."""

    def __init__(self) -> None:
        self.released = threading.Event()
        self.written: list[tuple[str, Any]] = []

    def save(self, state: dict[str, Any], file: Path) -> None:
        assert self.released.wait(timeout=30)
        self.written.append((file.name, state))


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> SlowDisk:
    disk = SlowDisk()
    monkeypatch.setattr(snapshots, "save_atomically", disk.save)
    return disk


def test_what_changes_after_the_call_is_not_written(tmp_path: Path, disk: SlowDisk) -> None:
    """The two files of an epoch's end; neither call waits for the disk."""
    weights, steps = torch.ones(3), [{"loss": 1.0}]
    writer = SnapshotWriter()
    writer.save({"weight": weights}, tmp_path / "kept.pt")
    writer.save({"groups": [{"lr": 0.1}], "steps": steps, "pair": (weights, 2)}, tmp_path / "snapshot.pt")
    weights.mul_(5)
    steps.append({"loss": 0.5})
    steps[0]["loss"] = 9.0
    disk.released.set()
    writer.close()
    (kept, first), (snapshot, second) = disk.written
    assert (kept, snapshot) == ("kept.pt", "snapshot.pt")
    assert first["weight"].tolist() == [1.0, 1.0, 1.0]
    assert second["steps"] == [{"loss": 1.0}]
    assert second["groups"] == [{"lr": 0.1}]
    assert second["pair"][0].tolist() == [1.0, 1.0, 1.0]


def test_a_third_file_waits_for_the_first(tmp_path: Path, disk: SlowDisk) -> None:
    writer = SnapshotWriter()
    for number in range(2):
        writer.save({"n": number}, tmp_path / f"{number}.pt")
    third = threading.Thread(target=writer.save, args=({"n": 2}, tmp_path / "2.pt"))
    third.start()
    third.join(timeout=0.05)
    assert third.is_alive()
    disk.released.set()
    third.join(timeout=30)
    writer.close()
    assert [name for name, _ in disk.written] == ["0.pt", "1.pt", "2.pt"]


def test_a_write_that_fails_is_reported(tmp_path: Path) -> None:
    writer = SnapshotWriter()
    writer.save({"epoch": 1}, tmp_path / "no folder" / "snapshot.pt")
    with pytest.raises(FileNotFoundError):
        writer.close()


def test_close_waits_for_the_disk(tmp_path: Path) -> None:
    writer = SnapshotWriter()
    writer.save({"epoch": 3}, tmp_path / "snapshot.pt")
    writer.close()
    assert load_if_complete(tmp_path / "snapshot.pt") == {"epoch": 3}
