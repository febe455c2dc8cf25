"""Scratch folders of workers."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from emostream.streamer.cluster.batch.scratch import remove_stale_scratch, scratch_folder


def test_scratch_folders_of_killed_workers_are_removed_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    names = ("emostream-part-" + "0" * 32, "emostream-part-1", "emostream-1", "other")
    killed, *others = (tmp_path / name for name in names)
    with scratch_folder() as alive:
        for folder in (killed, *others):
            folder.mkdir()
            (folder / "in-use").write_bytes(b"")
        remove_stale_scratch()
        assert killed.exists()  # it may be about to be locked
        for folder in (killed, alive, *others):
            os.utime(folder, (0, 0))
        remove_stale_scratch()
        assert sorted(tmp_path.iterdir()) == sorted([alive, *others])
    assert not alive.exists()
