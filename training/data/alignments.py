"""Alignments of training clips, computed once and cached, and shifted with every change of the clip.

A clip is aligned with the words that are spoken in it, whatever text it is paired with.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from emostream.models import Alignment, Clip, Span, Transcript, Word, load_aligner

from .audio_cache import AudioCache

Alignments = Mapping[str, Alignment]
"""Key of a clip -> its alignment. A clip without an entry has no known words, and no spans."""

_BATCH: Final = 16


def cached_alignments(
    spoken: Mapping[str, Transcript],
    audio_cache: AudioCache,
    cache: Path,
    on_progress: Callable[[int, int], None],
) -> Alignments:
    """Alignments of clips with the words that are spoken in them, from `cache` if it holds exactly these.

    spoken: key of the clip -> its words; word times of their own are kept where no forced alignment
    is possible. on_progress: called with the number of clips done and the total. Raises TranscriberError
    where PocketSphinx cannot be loaded.
    """
    key = {name: _cache_key(transcript, audio_cache, name) for name, transcript in spoken.items()}
    file = cache / "alignments.json"
    if file.exists():
        cached = json.loads(file.read_text(encoding="utf-8"))
        if cached["key"] == key:
            return {name: alignment_from_json(fields) for name, fields in cached["alignments"].items()}
    aligner, found, names = load_aligner(), dict[str, Alignment](), list(spoken)
    for start in range(0, len(names), _BATCH):
        batch = names[start : start + _BATCH]
        clips = [Clip(audio_cache.clip(name), spoken[name].language) for name in batch]
        aligned = aligner.align(clips, [spoken[name] for name in batch])
        found.update(zip(batch, aligned, strict=True))
        on_progress(len(found), len(names))
    written = {name: alignment_to_json(alignment) for name, alignment in found.items()}
    cache.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f"{file.name}.{os.getpid()}.tmp")
    part.write_text(json.dumps({"key": key, "alignments": written}), encoding="utf-8")
    part.replace(file)
    return found


def _cache_key(transcript: Transcript, audio_cache: AudioCache, name: str) -> list[Any]:
    """What an alignment depends on: the words, their own times, and a hash of the audio."""
    start, end = audio_cache.spans[name]
    audio = hashlib.blake2b(audio_cache.samples[start:end].tobytes(), digest_size=8).hexdigest()
    return [
        transcript.text,
        transcript.language,
        [[word.start, word.end] for word in transcript.words],
        audio,
    ]


def shift_alignment(alignment: Alignment, factor: float, shift: int) -> Alignment:
    """The alignment of a clip that was played `factor` times as fast, then shifted by so many samples.

    A span may end up before the clip or after it: there are no frames there, so it has no effect.
    """

    def at(position: int) -> int:
        return round(position / factor) + shift

    return Alignment(
        tuple(Word(word.text, at(word.start), at(word.end), word.confidence) for word in alignment.words),
        tuple(Span(span.text, at(span.start), at(span.end)) for span in alignment.syllables),
        tuple(Span(span.text, at(span.start), at(span.end)) for span in alignment.phones),
        alignment.method,
    )


def alignment_to_json(alignment: Alignment) -> dict[str, Any]:
    """To plain JSON values."""
    tiers: dict[str, Sequence[Word | Span]] = {
        "words": alignment.words,
        "syllables": alignment.syllables,
        "phones": alignment.phones,
    }
    spans = {name: [[x.text, x.start, x.end] for x in tier] for name, tier in tiers.items()}
    return spans | {"method": alignment.method}


def alignment_from_json(fields: dict[str, Any]) -> Alignment:
    """From plain JSON values."""
    return Alignment(
        tuple(Word(*span) for span in fields["words"]),
        tuple(Span(*span) for span in fields["syllables"]),
        tuple(Span(*span) for span in fields["phones"]),
        fields["method"],
    )
