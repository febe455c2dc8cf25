"""All clips decoded once, their silent edges trimmed, in one array of 16-bit samples on disk."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from emostream.models import SAMPLE_RATE_HZ, Samples

from ..corpora.example import Example
from .audio_decoding import decoded, read_clip

__all__ = ["FRAME", "AudioCache", "cached_audio", "read_clip", "speech_bounds", "trim"]

FRAME: Final = SAMPLE_RATE_HZ // 50
"""20 ms: the grain of the trimming, and the step of the encoders' frames."""

_BELOW_PEAK_DB: Final = 35.0
_MARGIN_S: Final = 0.25
_FORM: Final = 1
"""Of the cache's files: another one after every change of what they hold."""


@dataclass(frozen=True, slots=True)
class AudioCache:
    """samples: all clips end to end, int16. spans: key of the example -> (start, end).

    fronts: key -> samples trimmed off its front, by which a place in the file moves to one in the clip.
    """

    samples: npt.NDArray[np.int16]
    spans: Mapping[str, tuple[int, int]]
    fronts: Mapping[str, int] = field(default_factory=dict)

    def clip(self, key: str) -> Samples:
        start, end = self.spans[key]
        return self.samples[start:end].astype(np.float32) / 32768.0


def speech_bounds(
    samples: Samples, *, below_peak_db: float = _BELOW_PEAK_DB, margin_s: float = _MARGIN_S
) -> tuple[int, int]:
    """(start, end): first to last 20 ms frame within `below_peak_db` of the loudest, and a margin."""
    frames = samples[: len(samples) // FRAME * FRAME].reshape(-1, FRAME)
    if not len(frames):
        return 0, len(samples)
    energy = (frames.astype(np.float64) ** 2).mean(axis=1)
    loud = np.flatnonzero(energy >= energy.max() * 10 ** (-below_peak_db / 10))
    margin = int(margin_s * SAMPLE_RATE_HZ)
    return max(0, int(loud[0]) * FRAME - margin), min(len(samples), (int(loud[-1]) + 1) * FRAME + margin)


def trim(samples: Samples, *, below_peak_db: float = _BELOW_PEAK_DB, margin_s: float = _MARGIN_S) -> Samples:
    """The stretch between `speech_bounds`."""
    start, end = speech_bounds(samples, below_peak_db=below_peak_db, margin_s=margin_s)
    return samples[start:end]


def _unseen(done: int, clips: int) -> None:
    """Nobody looks on."""


def cached_audio(
    examples: Sequence[Example],
    cache: Path,
    *,
    trimmed: bool = True,
    seen: Callable[[int, int], None] = _unseen,
) -> AudioCache:
    """Decoded clips, memory-mapped from `cache` where it holds exactly these files as they are now.

    Otherwise all files are decoded, and this is their check as well: one CorpusError names every file that
    cannot be used (see `decoded`), and nothing is kept. A killed run leaves no half cache, only a `.tmp` that
    nobody reads: the samples are complete before the index that names them is there.
    seen: told how many clips of how many are decoded.
    """
    if not examples:
        return AudioCache(np.zeros(0, np.int16), {})
    stem = cache / f"sounds-{_fingerprint(examples, trimmed)}"
    index, samples = stem.with_suffix(".json"), stem.with_suffix(".int16")
    if not (index.exists() and samples.exists()):
        cache.mkdir(parents=True, exist_ok=True)
        _write(examples, trimmed, samples, index, seen)
    places: dict[str, list[int]] = json.loads(index.read_text(encoding="utf-8"))
    return AudioCache(
        np.memmap(samples, np.int16, mode="r"),
        {key: (start, end) for key, (start, end, _) in places.items()},
        {key: front for key, (_, _, front) in places.items()},
    )


def _fingerprint(examples: Sequence[Example], trimmed: bool) -> str:
    """Another one where a file, its time of change, the list or the trimming is another."""
    digest = hashlib.blake2b(digest_size=10)
    digest.update(repr((_FORM, trimmed and (_BELOW_PEAK_DB, _MARGIN_S))).encode())
    for example in examples:
        path = example.audio_path
        # A missing file is told with all others that cannot be used, when they are decoded.
        state = path.stat() if path.is_file() else None
        what = (example.key, str(path), state and (state.st_size, state.st_mtime_ns))
        digest.update(repr(what).encode())
    return digest.hexdigest()


def _write(
    examples: Sequence[Example],
    trimmed: bool,
    samples: Path,
    index: Path,
    seen: Callable[[int, int], None],
) -> None:
    """Clip by clip into files of this process, which then take their names: the index last."""
    places: dict[str, tuple[int, int, int]] = {}
    position = 0
    unfinished = [file.with_name(f"{file.name}.{os.getpid()}.tmp") for file in (samples, index)]
    try:
        with unfinished[0].open("wb") as out:
            for example, clip in decoded(examples):
                start, end = speech_bounds(clip) if trimmed else (0, len(clip))
                pcm = np.round(clip[start:end].clip(-1, 1) * 32767).astype(np.int16)
                out.write(pcm.tobytes())
                places[example.key] = (position, position + len(pcm), start)
                position += len(pcm)
                seen(len(places), len(examples))
        unfinished[1].write_text(json.dumps(places), encoding="utf-8")
        for file, name in zip(unfinished, (samples, index), strict=True):
            file.replace(name)
    finally:
        for file in unfinished:
            file.unlink(missing_ok=True)
