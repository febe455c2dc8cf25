"""A run's state on disk, so that one that was stopped, at whatever moment, goes on to the same curve."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch


def save_atomically(state: dict[str, Any], file: Path) -> None:
    """Replaces `file` at once: a kill in the middle of the write leaves the older one."""
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
