"""The files that a run resumes from: what of a module they hold, and how they are written and read."""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

SNAPSHOT_FILE: Final = "snapshot.pt"
WEIGHTS_FILE: Final = "kept.pt"


class SnapshotWriter:
    """Writes files in a thread of its own, so that no step waits for the disk.

    Each is written from a copy, in the order of the calls: the weights of an epoch are on disk before the
    snapshot that counts them. Two copies may wait, an epoch's weights and its snapshot; a further call waits
    for the disk.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="snapshots")
        self._pending: deque[Future[None]] = deque()

    def save(self, state: dict[str, Any], file: Path) -> None:
        """Raises what an earlier write raised."""
        while len(self._pending) > 1 or (self._pending and self._pending[0].done()):
            self._pending.popleft().result()
        self._pending.append(self._pool.submit(save_atomically, _copied(state), file))

    def close(self) -> None:
        """Waits until everything is written. Raises what a write raised."""
        self._pool.shutdown()
        while self._pending:
            self._pending.popleft().result()


def _copied(state: Any) -> Any:
    """A copy of nested dicts and lists, with tensors on the CPU."""
    if isinstance(state, Tensor):
        return state.detach().to("cpu", copy=True)
    if isinstance(state, dict):
        return {name: _copied(value) for name, value in state.items()}
    if isinstance(state, list | tuple):
        return type(state)(map(_copied, state))
    return state


def trainable_state_dict(module: nn.Module) -> dict[str, Tensor]:
    """A copy on the CPU of what training changes: weights that take a gradient, and buffers."""
    copied: dict[str, Tensor] = _copied(trainable_tensors(module))
    return copied


def trainable_tensors(module: nn.Module) -> dict[str, Tensor]:
    """The tensors themselves that training changes: weights that take a gradient, and buffers."""
    frozen = {name for name, weights in module.named_parameters() if not weights.requires_grad}
    return {name: tensor for name, tensor in module.state_dict().items() if name not in frozen}


def load_trainable_state_dict(module: nn.Module, state: dict[str, Tensor]) -> None:
    """Raises ValueError where `state` is of another module."""
    if differing := sorted(trainable_tensors(module).keys() ^ state.keys()):
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
