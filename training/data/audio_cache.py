"""The audio cache: all clips decoded once, silent edges trimmed, in one array of 16-bit samples on disk."""

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
from .audio_decoding import decode_examples, read_clip

__all__ = ["FRAME", "AudioCache", "cached_audio", "read_clip", "speech_bounds", "trim"]

FRAME: Final = SAMPLE_RATE_HZ // 50
"""20 ms: the resolution of the trimming, and the step of the encoders' frames."""

_BELOW_PEAK_DB: Final = 35.0
_MARGIN_S: Final = 0.25
_FORMAT_VERSION: Final = 1
"""Of the cache's files: to be increased with every change of their format."""


@dataclass(frozen=True, slots=True)
class AudioCache:
    """samples: all clips end to end, int16. spans: key of the example -> (start, end).

    trimmed_front: key -> samples trimmed off its start: the offset of positions in the file to those in the
    clip.
    """

    samples: npt.NDArray[np.int16]
    spans: Mapping[str, tuple[int, int]]
    trimmed_front: Mapping[str, int] = field(default_factory=dict)

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
    """The samples between `speech_bounds`."""
    start, end = speech_bounds(samples, below_peak_db=below_peak_db, margin_s=margin_s)
    return samples[start:end]


def _no_progress(done: int, clips: int) -> None:
    """The default callback."""


def cached_audio(
    examples: Sequence[Example],
    cache: Path,
    *,
    trimmed: bool = True,
    on_progress: Callable[[int, int], None] = _no_progress,
) -> AudioCache:
    """Decoded clips, memory-mapped from `cache` if it holds exactly these files as they are now.

    Otherwise all files are decoded, which checks them as well: one CorpusError lists every file that
    cannot be used (see `decode_examples`), and nothing is cached. A killed run leaves no partial cache, only
    a `.tmp` that is never read: the samples are complete before the index that names them is there.
    on_progress: called with the number of clips decoded and the total.
    """
    if not examples:
        return AudioCache(np.zeros(0, np.int16), {})
    stem = cache / f"sounds-{_fingerprint(examples, trimmed)}"
    index, samples = stem.with_suffix(".json"), stem.with_suffix(".int16")
    if not (index.exists() and samples.exists()):
        cache.mkdir(parents=True, exist_ok=True)
        _write(examples, trimmed, samples, index, on_progress)
    spans: dict[str, list[int]] = json.loads(index.read_text(encoding="utf-8"))
    return AudioCache(
        np.memmap(samples, np.int16, mode="r"),
        {key: (start, end) for key, (start, end, _) in spans.items()},
        {key: front for key, (_, _, front) in spans.items()},
    )


def _fingerprint(examples: Sequence[Example], trimmed: bool) -> str:
    """Changes with the list of files, a file's size or modification time, and the trimming."""
    digest = hashlib.blake2b(digest_size=10)
    digest.update(repr((_FORMAT_VERSION, trimmed and (_BELOW_PEAK_DB, _MARGIN_S))).encode())
    for example in examples:
        path = example.audio_path
        # A missing file is reported with all others that cannot be used, when they are decoded.
        state = path.stat() if path.is_file() else None
        identity = (example.key, str(path), state and (state.st_size, state.st_mtime_ns))
        digest.update(repr(identity).encode())
    return digest.hexdigest()


def _write(
    examples: Sequence[Example],
    trimmed: bool,
    samples: Path,
    index: Path,
    on_progress: Callable[[int, int], None],
) -> None:
    """Writes clip by clip to temporary files of this process, then renames them: the index last."""
    spans: dict[str, tuple[int, int, int]] = {}
    position = 0
    unfinished = [file.with_name(f"{file.name}.{os.getpid()}.tmp") for file in (samples, index)]
    try:
        with unfinished[0].open("wb") as out:
            for example, clip in decode_examples(examples):
                start, end = speech_bounds(clip) if trimmed else (0, len(clip))
                pcm = np.round(clip[start:end].clip(-1, 1) * 32767).astype(np.int16)
                out.write(pcm.tobytes())
                spans[example.key] = (position, position + len(pcm), start)
                position += len(pcm)
                on_progress(len(spans), len(examples))
        unfinished[1].write_text(json.dumps(spans), encoding="utf-8")
        for file, name in zip(unfinished, (samples, index), strict=True):
            file.replace(name)
    finally:
        for file in unfinished:
            file.unlink(missing_ok=True)
