"""Where a training clip's own words lie, found once, and moved along with every change of the clip.

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
"""Key of a clip -> its alignment. A clip that is not in here has no known words, and no spans."""

_BATCH: Final = 16


def cached_alignments(
    spoken: Mapping[str, Transcript], sounds: AudioCache, cache: Path, seen: Callable[[int, int], None]
) -> Alignments:
    """Alignments of clips with what is said in them, from `cache` where it holds exactly these.

    spoken: key of the clip -> its words; those with word times of their own keep them where no forced
    alignment is possible. seen: told how many clips of how many are done. Raises TranscriberError where
    PocketSphinx cannot be loaded.
    """
    key = {name: _question(said, sounds, name) for name, said in spoken.items()}
    file = cache / "alignments.json"
    if file.exists():
        kept = json.loads(file.read_text(encoding="utf-8"))
        if kept["key"] == key:
            return {name: alignment_from_json(fields) for name, fields in kept["alignments"].items()}
    aligner, found, names = load_aligner(), dict[str, Alignment](), list(spoken)
    for start in range(0, len(names), _BATCH):
        batch = names[start : start + _BATCH]
        clips = [Clip(sounds.clip(name), spoken[name].language) for name in batch]
        aligned = aligner.align(clips, [spoken[name] for name in batch])
        found.update(zip(batch, aligned, strict=True))
        seen(len(found), len(names))
    written = {name: alignment_to_json(alignment) for name, alignment in found.items()}
    cache.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f"{file.name}.{os.getpid()}.tmp")
    part.write_text(json.dumps({"key": key, "alignments": written}), encoding="utf-8")
    part.replace(file)
    return found


def _question(said: Transcript, sounds: AudioCache, name: str) -> list[Any]:
    """What an alignment depends on: the words, their own times, and the sound."""
    start, end = sounds.spans[name]
    sound = hashlib.blake2b(sounds.samples[start:end].tobytes(), digest_size=8).hexdigest()
    return [said.text, said.language, [[word.start, word.end] for word in said.words], sound]


def moved(alignment: Alignment, factor: float, shift: int) -> Alignment:
    """The alignment of a clip that was played `factor` times as fast, then shifted by so many samples.

    A place may end up before the clip or behind it: there are no frames, so nothing is heard of it.
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
    """As JSON has it."""
    tiers: dict[str, Sequence[Word | Span]] = {
        "words": alignment.words,
        "syllables": alignment.syllables,
        "phones": alignment.phones,
    }
    spans = {name: [[x.text, x.start, x.end] for x in tier] for name, tier in tiers.items()}
    return spans | {"method": alignment.method}


def alignment_from_json(fields: dict[str, Any]) -> Alignment:
    """Back from JSON."""
    return Alignment(
        tuple(Word(*span) for span in fields["words"]),
        tuple(Span(*span) for span in fields["syllables"]),
        tuple(Span(*span) for span in fields["phones"]),
        fields["method"],
    )
