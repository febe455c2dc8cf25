"""Cached outputs of a frozen encoder for every clip or text: training then takes minutes on two cores.

All layers are stored, because their mix is still learned, in half precision. Augmentation happens before the
encoder, so a clip may have several views: the first is the clip as it is, the others are augmented, each with
random numbers of its own.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from emostream.models import Alignment

from ..errors import SettingsError
from .alignments import alignment_from_json, alignment_to_json

Encode = Callable[[str, int], tuple[Tensor, Alignment]]
"""Key, view -> the layers' states (L, T, H), and the alignment of the words in that view."""


@dataclass(frozen=True, slots=True)
class View:
    """start, frames: rows of the states. alignment: of the clip's words in this view."""

    start: int
    frames: int
    alignment: Alignment


@dataclass(frozen=True, slots=True)
class FrozenFeatures:
    """states: (F, L, H) float16, all clips end to end, on disk. views: key -> its views."""

    states: npt.NDArray[np.float16]
    views: dict[str, list[View]]

    def view(self, key: str, number: int) -> tuple[Tensor, Alignment]:
        """(L, T, H) float16, and the alignment."""
        view = self.views[key][number]
        rows = self.states[view.start : view.start + view.frames]
        return torch.from_numpy(np.array(rows)).transpose(0, 1), view.alignment


def cached_features(
    keys: Sequence[str],
    views: int,
    encode: Encode,
    identity: str,
    folder: Path,
    on_progress: Callable[[int], None],
) -> FrozenFeatures:
    """`encode` of every key and view, from `folder` if an earlier run stored it.

    identity: of everything else that the result depends on; see `fingerprint`. on_progress: called with the
    number of views done. A killed run starts this over: the index is renamed last. Raises SettingsError where
    half precision cannot hold a state.
    """
    if not keys:
        return FrozenFeatures(np.zeros((0, 0, 0), np.float16), {})
    cache = folder / hashlib.sha256(json.dumps([identity, views, *keys]).encode()).hexdigest()[:16]
    index_file, state_file = cache / "index.json", cache / "states.float16"
    if not index_file.exists():
        cache.mkdir(parents=True, exist_ok=True)
        _write(keys, views, encode, state_file, index_file, on_progress)
    index = json.loads(index_file.read_text(encoding="utf-8"))
    shape = tuple(index["shape"])
    states = np.memmap(state_file, dtype=np.float16, mode="r", shape=shape)
    stored = {
        key: [View(start, frames, alignment_from_json(fields)) for start, frames, fields in rows]
        for key, rows in index["places"].items()
    }
    return FrozenFeatures(states, stored)


def fingerprint(encoder: nn.Module, *rest: Any) -> str:
    """A hash of an encoder's weights and of everything else that matters: settings, audio hashes, texts."""
    digest = hashlib.sha256()
    for name, weights in encoder.state_dict().items():
        if not name.startswith("mix."):  # learned on top of the cached states
            digest.update(name.encode())
            digest.update(weights.detach().cpu().contiguous().numpy().tobytes())
    digest.update(json.dumps(rest, default=str, sort_keys=True).encode())
    return digest.hexdigest()


def _write(
    keys: Sequence[str],
    views: int,
    encode: Encode,
    states: Path,
    index: Path,
    on_progress: Callable[[int], None],
) -> None:
    """Writes to temporary files of this process, as others may write the same, then renames them."""
    unfinished = [file.with_name(f"{file.name}.{os.getpid()}.tmp") for file in (states, index)]
    try:
        fields = _compute(keys, views, encode, unfinished[0], on_progress)
        unfinished[1].write_text(json.dumps(fields), encoding="utf-8")
        for file, name in zip(unfinished, (states, index), strict=True):
            file.replace(name)
    finally:
        for file in unfinished:
            file.unlink(missing_ok=True)


def _compute(
    keys: Sequence[str], views: int, encode: Encode, file: Path, on_progress: Callable[[int], None]
) -> dict[str, Any]:
    places: dict[str, list[Any]] = {}
    position, shape = 0, (0, 0)
    with file.open("wb") as out:
        for done, (key, view) in enumerate(_keys_and_views(keys, views)):
            states, alignment = encode(key, view)
            layers, frames, width = states.shape
            shape = (layers, width)
            out.write(_to_half(states.transpose(0, 1), key).tobytes())
            places.setdefault(key, []).append([position, frames, alignment_to_json(alignment)])
            position += frames
            on_progress(done + 1)
    return {"shape": [position, *shape], "places": places}


def _to_half(states: Tensor, key: str) -> npt.NDArray[np.float16]:
    half: npt.NDArray[np.float16] = states.to(torch.float16).contiguous().cpu().numpy()
    if not np.isfinite(half).all():
        raise SettingsError(
            f"cache_features: expected states that half precision holds, got more of {key}: switch it off"
        )
    return half


def _keys_and_views(keys: Sequence[str], views: int) -> Iterator[tuple[str, int]]:
    for key in keys:
        for view in range(views):
            yield key, view
