"""All clips decoded once, their silent edges trimmed, in one array of 16-bit samples on disk."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import soundfile

from emostream.models import SAMPLE_RATE_HZ, Samples

from ..corpora.example import CorpusError, Example

FRAME: Final = SAMPLE_RATE_HZ // 50
"""20 ms: the grain of the trimming, and the step of the encoders' frames."""


@dataclass(frozen=True, slots=True)
class Sounds:
    """samples: all clips end to end, int16. spans: key of the example -> (start, end)."""

    samples: npt.NDArray[np.int16]
    spans: dict[str, tuple[int, int]]

    def clip(self, key: str) -> Samples:
        start, end = self.spans[key]
        return self.samples[start:end].astype(np.float32) / 32768.0


def read_clip(path: Path) -> Samples:
    """A mono 16 kHz file to (N,) float32. Raises CorpusError."""
    try:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except (OSError, soundfile.LibsndfileError) as error:
        raise CorpusError(f"expected a sound file at {path}: {error}") from error
    if rate != SAMPLE_RATE_HZ:
        raise CorpusError(f"{path}: expected {SAMPLE_RATE_HZ} Hz, got {rate}; resample the corpus first")
    mono: Samples = samples.mean(axis=1, dtype=np.float32)
    return mono


def trim(samples: Samples, *, below_peak_db: float = 35.0, margin_s: float = 0.25) -> Samples:
    """The stretch between the first and the last 20 ms frame within `below_peak_db` of the loudest."""
    frames = samples[: len(samples) // FRAME * FRAME].reshape(-1, FRAME)
    if not len(frames):
        return samples
    energy = (frames.astype(np.float64) ** 2).mean(axis=1)
    loud = np.flatnonzero(energy >= energy.max() * 10 ** (-below_peak_db / 10))
    margin = int(margin_s * SAMPLE_RATE_HZ)
    start = max(0, int(loud[0]) * FRAME - margin)
    end = min(len(samples), (int(loud[-1]) + 1) * FRAME + margin)
    return samples[start:end]


def cached_sounds(examples: Sequence[Example], cache: Path) -> Sounds:
    """Decoded and trimmed clips, from `cache` where it holds exactly these clips."""
    keys = [example.key for example in examples]
    index_file, sample_file = cache / "sounds.json", cache / "sounds.npy"
    if index_file.exists():
        spans = {key: (a, b) for key, (a, b) in json.loads(index_file.read_text()).items()}
        if list(spans) == keys:
            return Sounds(np.load(sample_file, mmap_mode="r"), spans)
    cache.mkdir(parents=True, exist_ok=True)
    pieces: list[npt.NDArray[np.int16]] = []
    spans, position = {}, 0
    for example in examples:
        clip = trim(read_clip(example.sound))
        pieces.append(np.round(clip.clip(-1, 1) * 32767).astype(np.int16))
        spans[example.key] = (position, position + len(clip))
        position += len(clip)
    samples = np.concatenate(pieces)
    np.save(sample_file, samples)
    index_file.write_text(json.dumps(spans))
    return Sounds(samples, spans)
