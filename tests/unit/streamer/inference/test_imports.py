"""What a process imports that judges utterances with a bundled model on a CPU."""

from __future__ import annotations

from pathlib import Path

from emostream.models import BUNDLED
from tests.support.imported_modules import modules_of_replay


def test_neither_torch_nor_transformers(tmp_path: Path) -> None:
    modules = modules_of_replay(tmp_path, "--asr", "none", "--checkpoint", str(BUNDLED), "--device", "cpu")
    assert "onnxruntime" in modules
    assert not {"torch", "transformers"} & modules
