"""A check that all audio files of a corpus can be used, and how long they are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from emostream.models import SAMPLE_RATE_HZ

from ..corpora.example import Example
from .audio_cache import AudioCache
from .audio_decoding import decode_examples


@dataclass(frozen=True, slots=True)
class Durations:
    """Durations of the clips of one corpus, in seconds."""

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
        """Markdown, one line per corpus."""
        lines = [
            "| corpus | clips | hours | shortest, s | median, s | longest, s |",
            "|---|---:|---:|---:|---:|---:|",
        ]
        for name, durations in self.corpora.items():
            seconds = f"{durations.shortest_s:.2f} | {durations.median_s:.2f} | {durations.longest_s:.2f}"
            lines.append(f"| {name} | {durations.clips:,} | {durations.total_s / 3600:.2f} | {seconds} |")
        return "\n".join(lines)


def check_audio(examples: Sequence[Example]) -> AudioReport:
    """Decodes every file, keeps none, and reports how long they are.

    One CorpusError lists all that are missing, unreadable, cut short, empty, digitally silent, or hold NaN.
    `cached_audio` makes the same check as it decodes, so a run that caches its audio needs no other.
    """
    return _report((example.corpus, len(samples)) for example, samples in decode_examples(examples))


def report_cached_audio(examples: Sequence[Example], audio_cache: AudioCache) -> AudioReport:
    """How long the clips in the cache are, trimmed if they were; nothing is decoded."""
    spans = ((example.corpus, audio_cache.spans[example.key]) for example in examples)
    return _report((corpus, end - start) for corpus, (start, end) in spans)


def _report(clips: Iterable[tuple[str, int]]) -> AudioReport:
    """clips: corpus and length in samples."""
    lengths: dict[str, list[int]] = {}
    for corpus, samples in clips:
        lengths.setdefault(corpus, []).append(samples)
    return AudioReport({corpus: _durations(samples) for corpus, samples in lengths.items()})


def _durations(lengths: Sequence[int]) -> Durations:
    seconds = np.array(lengths) / SAMPLE_RATE_HZ
    return Durations(
        len(seconds),
        float(seconds.sum()),
        float(seconds.min()),
        float(np.median(seconds)),
        float(seconds.max()),
    )
