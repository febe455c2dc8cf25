"""Whether all sounds of a corpus can be used, told at once, and how long they are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from emostream.models import SAMPLE_RATE_HZ

from ..corpora.example import Example
from .audio_cache import AudioCache
from .audio_decoding import decoded


@dataclass(frozen=True, slots=True)
class Durations:
    """Of one corpus' clips, in seconds."""

    clips: int
    total_s: float
    shortest_s: float
    median_s: float
    longest_s: float


@dataclass(frozen=True, slots=True)
class AudioReport:
    """corpora: by name, in the order in which the examples came."""

    corpora: Mapping[str, Durations]

    def table(self) -> str:
        """Markdown, one line a corpus."""
        lines = [
            "| corpus | clips | hours | shortest, s | median, s | longest, s |",
            "|---|---:|---:|---:|---:|---:|",
        ]
        for name, of in self.corpora.items():
            seconds = f"{of.shortest_s:.2f} | {of.median_s:.2f} | {of.longest_s:.2f}"
            lines.append(f"| {name} | {of.clips:,} | {of.total_s / 3600:.2f} | {seconds} |")
        return "\n".join(lines)


def check_audio(examples: Sequence[Example]) -> AudioReport:
    """Decodes every file, keeps none, and says how long the sounds are.

    One CorpusError names all that are missing, unreadable, cut short, empty, digitally silent, or hold NaN.
    `cached_audio` makes the same check of what it decodes, so a run that keeps its sounds needs no other.
    """
    return _report((example.corpus, len(samples)) for example, samples in decoded(examples))


def report_cached_audio(examples: Sequence[Example], sounds: AudioCache) -> AudioReport:
    """How long the sounds are as they were kept, trimmed where they were; nothing is decoded."""
    spans = ((example.corpus, sounds.spans[example.key]) for example in examples)
    return _report((corpus, end - start) for corpus, (start, end) in spans)


def _report(clips: Iterable[tuple[str, int]]) -> AudioReport:
    """clips: corpus and length in samples."""
    lengths: dict[str, list[int]] = {}
    for corpus, samples in clips:
        lengths.setdefault(corpus, []).append(samples)
    return AudioReport({corpus: _durations(of) for corpus, of in lengths.items()})


def _durations(lengths: Sequence[int]) -> Durations:
    seconds = np.array(lengths) / SAMPLE_RATE_HZ
    return Durations(
        len(seconds),
        float(seconds.sum()),
        float(seconds.min()),
        float(np.median(seconds)),
        float(seconds.max()),
    )
