"""Whether PyTorch and transformers are installed: the core install has neither (docs/adr/0033)."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Final

from .errors import CheckpointError, DeviceError

INSTALL: Final = "pip install 'emostream[torch]'"


def is_torch_installed() -> bool:
    """Both of them, without importing either."""
    return find_spec("torch") is not None and find_spec("transformers") is not None


def torch_is_missing(folder: Path, *, device: str, dtype: str) -> CheckpointError | DeviceError:
    """What to say where the checkpoint in `folder` needs PyTorch. device, dtype: as they were asked for."""
    if device not in ("auto", "cpu"):
        wanted_for, instead = f"device {device!r}", "--device cpu"
    elif dtype not in ("auto", "float32"):
        wanted_for, instead = f"dtype {dtype!r}", "--dtype float32"
    else:
        return CheckpointError(
            f"expected PyTorch for {folder}, which has no ONNX graphs of its whole network, but it is not "
            f"installed: {INSTALL}"
        )
    return DeviceError(f"expected PyTorch for {wanted_for}, but it is not installed: {INSTALL}, or {instead}")
