"""The storage behind an output folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from emostream.streamer.cluster.batch.storage import Storage

pytest.importorskip("fsspec")


def test_a_relative_place_is_absolute_for_other_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert Storage("out").absolute_uri == f"{tmp_path}/out"
    assert Storage("file://out").absolute_uri == f"file://{tmp_path}/out"
    assert Storage("memory://out").absolute_uri == "memory://out"
