"""Audio to measure with: clips of speech with pauses between them, determined by a seed."""

from __future__ import annotations

import wave
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Final

import numpy as np

from emostream.models import MEDIA_SUFFIXES

from ..audio.decode import decode_file
from ..audio.frontend import Samples, encode_pcm
from ..config import FRAME_SAMPLES, SAMPLE_RATE_HZ
from ..errors import SourceError

_SPEECH_DB: Final = 35.0
"""Below a clip's loudest frame: quieter frames at its ends are trimmed."""
_STREAM_STEP: Final = 7
"""By how many clips of the same order the start of the next stream is shifted."""


@dataclass(frozen=True, slots=True, eq=False)
class Workload:
    """samples: (N,) float32 at 16 kHz. spans: first and last sample (exclusive) of each clip in it."""

    samples: Samples
    spans: tuple[tuple[int, int], ...]


def read_clips(places: Sequence[Path]) -> list[Samples]:
    """The recordings in these files and folders, trimmed to speech. Raises SourceError."""
    files: list[Path] = []
    for place in places:
        candidates = sorted(place.rglob("*")) if place.is_dir() else [place]
        files += [file for file in candidates if not place.is_dir() or file.suffix.lower() in MEDIA_SUFFIXES]
    if not files:
        raise SourceError(
            f"expected recordings in {', '.join(map(str, places)) or 'nothing'}, found none; name others"
        )
    return [trim_silence(decode_file(file)) for file in files]


def trim_silence(samples: Samples) -> Samples:
    """From the first frame of speech to the last one."""
    framed = len(samples) // FRAME_SAMPLES * FRAME_SAMPLES
    energy = np.square(samples[:framed]).reshape(-1, FRAME_SAMPLES).mean(1)
    loud = np.flatnonzero(energy >= energy.max(initial=0.0) * 10 ** (-_SPEECH_DB / 10))
    if not len(loud) or not energy.max():
        return samples[:0]
    return samples[loud[0] * FRAME_SAMPLES : (loud[-1] + 1) * FRAME_SAMPLES]


def make_workload(
    clips: Sequence[Samples],
    seconds: float,
    *,
    seed: int = 0,
    stream: int = 0,
    gap_s: tuple[float, float] = (0.8, 2.0),
) -> Workload:
    """As many complete clips as fit into `seconds`, at least one, with a gap before each and one at the end.

    seed: of the order of the clips and of the gaps. stream: shifts the start in that order.
    """
    with_speech = [clip for clip in clips if len(clip)]
    if not with_speech:
        raise SourceError("expected recordings with speech to make a load of, got silence; name others")
    parts: list[Samples] = []
    spans: list[tuple[int, int]] = []
    position, limit = 0, int(seconds * SAMPLE_RATE_HZ)
    for clip, gap in _draw(with_speech, seed, stream, gap_s):
        if spans and position + len(gap) + len(clip) > limit:
            parts.append(gap)
            break
        parts += [gap, clip]
        spans.append((position + len(gap), position + len(gap) + len(clip)))
        position += len(gap) + len(clip)
    return Workload(np.concatenate(parts), tuple(spans))


def _draw(
    clips: Sequence[Samples], seed: int, stream: int, gap_s: tuple[float, float]
) -> Iterator[tuple[Samples, Samples]]:
    order = np.random.default_rng([seed, 0]).permutation(len(clips))
    gaps = np.random.default_rng([seed, 1, stream])
    for index in count(stream * _STREAM_STEP):
        gap = np.zeros(int(gaps.uniform(*gap_s) * SAMPLE_RATE_HZ), np.float32)
        yield clips[order[index % len(order)]], gap


def write_recording(samples: Samples, path: Path) -> Path:
    """A WAV file of 16 bits, mono. samples: (N,) at 16 kHz."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE_HZ)
        file.writeframes(encode_pcm(samples[:, np.newaxis], "pcm_s16le"))
    return path
