"""The files that a run resumes from: what of a module they hold, and how they are written and read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

SNAPSHOT_FILE: Final = "snapshot.pt"
WEIGHTS_FILE: Final = "kept.pt"


def trainable_state_dict(module: nn.Module) -> dict[str, Tensor]:
    """A copy on the CPU of what training changes: weights that take a gradient, and buffers."""
    frozen = {name for name, weights in module.named_parameters() if not weights.requires_grad}
    return {
        name: tensor.detach().cpu().clone()
        for name, tensor in module.state_dict().items()
        if name not in frozen
    }


def load_trainable_state_dict(module: nn.Module, state: dict[str, Tensor]) -> None:
    """Raises ValueError where `state` is of another module."""
    if differing := sorted(trainable_state_dict(module).keys() ^ state.keys()):
        raise ValueError(
            f"expected the weights of this network, {len(differing)} differ ({differing[0]}, ...)"
        )
    module.load_state_dict(state, strict=False)


def save_atomically(state: dict[str, Any], file: Path) -> None:
    """Replaces `file` at once: a process killed in the middle of the write leaves the older one."""
    fresh = file.with_name(f"{file.name}.part")
    with fresh.open("wb") as out:
        torch.save(state, out)
        out.flush()
        os.fsync(out.fileno())
    fresh.replace(file)


def load_if_complete(file: Path) -> dict[str, Any] | None:
    """None where nothing was saved. A `.part` beside it is the rest of a write that was cut short."""
    if not file.exists():
        return None
    state: dict[str, Any] = torch.load(file, weights_only=True, map_location="cpu")
    return state
