"""Whisper's encoder as a teacher: the states of its layers for every clip, computed once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from emostream.models.collate import collate_audio
from emostream.models.pretrained import pretrained_audio_encoder

from ..log import Log
from ..preparation.sounds import Sounds

DEFAULT_WEIGHTS: Final = Path(__file__).resolve().parents[2].parent / "shared" / "weights"


@dataclass(frozen=True, slots=True)
class TeacherStates:
    """states: (F, L D) float16, all clips end to end. spans: path -> (first, last) frame.

    mean, scale: (L D,) over all frames; the student learns standardised states. clip_mean, clip_scale:
    (2 L D,) of the clips' own means and deviations (`describe`) over all clips.
    """

    states: npt.NDArray[np.float16]
    spans: dict[str, tuple[int, int]]
    mean: npt.NDArray[np.float32]
    scale: npt.NDArray[np.float32]
    clip_mean: npt.NDArray[np.float32]
    clip_scale: npt.NDArray[np.float32]

    def window(self, path: str, first: int, frames: int) -> npt.NDArray[np.float32]:
        """(frames, L D) standardised, from `first` on; the last frame repeats past the clip's end."""
        start, end = self.spans[path]
        rows = np.minimum(start + first + np.arange(frames), end - 1)
        window: npt.NDArray[np.float32] = (self.states[rows].astype(np.float32) - self.mean) / self.scale
        return window.clip(-6.0, 6.0)

    def whole(self, window: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """(frames, L D) standardised -> (2 L D,): what the clip as a whole is like, standardised too."""
        described: npt.NDArray[np.float32] = (_describe(window) - self.clip_mean) / self.clip_scale
        return described.clip(-6.0, 6.0)


class WhisperTeacher:
    """`folder`: an encoder in transformers' layout."""

    def __init__(self, folder: Path) -> None:
        self._encoder = pretrained_audio_encoder(folder)

    @torch.inference_mode()
    def layers(self, samples: npt.NDArray[np.float32]) -> list[Tensor]:
        """(N,) -> 5 tensors (T, D) at 50 frames a second: the embedding and four layers."""
        batch = collate_audio([samples], self._encoder.waveform)
        states, _ = self._encoder.layers(batch.samples, batch.mask)
        return [state[0] for state in states]


def cached_states(
    sounds: Sounds, paths: Sequence[str], layers: Sequence[int], weights: Path, cache: Path, log: Log
) -> TeacherStates:
    """The teacher's states for `paths`, from `cache` where it holds exactly these paths and layers."""
    index_file, state_file = cache / "teacher.json", cache / "teacher.npy"
    key = {"paths": list(paths), "layers": list(layers)}
    if index_file.exists():
        index = json.loads(index_file.read_text())
        if index["key"] == key:
            spans = {path: (a, b) for path, (a, b) in index["spans"].items()}
            return _with_scale(np.load(state_file), spans)
    teacher = WhisperTeacher(weights / "whisper-tiny.en-encoder")
    pieces, spans, position = [], {}, 0
    for count, path in enumerate(paths):
        states = teacher.layers(sounds.clip(path))
        piece = torch.cat([states[layer] for layer in layers], dim=1).to(torch.float16).numpy()
        pieces.append(piece)
        spans[path] = (position, position + len(piece))
        position += len(piece)
        if count % 500 == 0:
            log.line(f"teacher: {count} of {len(paths)} clips")
    states_array = np.concatenate(pieces)
    np.save(state_file, states_array)
    index_file.write_text(json.dumps({"key": key, "spans": spans}))
    return _with_scale(states_array, spans)


def _with_scale(states: npt.NDArray[np.float16], spans: dict[str, tuple[int, int]]) -> TeacherStates:
    sample = states[:: max(1, len(states) // 50_000)].astype(np.float32)
    mean, scale = sample.mean(0), sample.std(0) + 1e-3
    clips = np.stack(
        [_describe((states[start:end].astype(np.float32) - mean) / scale) for start, end in spans.values()]
    )
    return TeacherStates(states, spans, mean, scale, clips.mean(0), clips.std(0) + 1e-3)


def _describe(frames: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """(T, D) -> (2 D,): mean and standard deviation, from which logistic regression reads emotions well."""
    described: npt.NDArray[np.float32] = np.concatenate([frames.mean(0), frames.std(0)])
    return described
