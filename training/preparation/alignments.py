"""Where a training clip's own words lie, found once, and moved along with every change of the clip.

A clip is aligned with the words that are spoken in it, whatever text it is paired with.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from emostream.models import Alignment, Clip, Span, Transcript, Word, load_aligner

from ..corpora.example import Example
from ..log import Log
from .sounds import Sounds

Alignments = Mapping[str, Alignment]
"""Path of a clip -> its alignment. A clip that is not in here has no known words, and no spans."""

_BATCH: Final = 16


def cached_alignments(examples: Sequence[Example], sounds: Sounds, cache: Path, log: Log) -> Alignments:
    """Forced alignments of the examples with words, from `cache` where it holds exactly these clips.

    Raises TranscriberError where PocketSphinx cannot be loaded.
    """
    spoken = {example.key: example.english for example in examples if example.english}
    key = {path: [words, *sounds.spans[path]] for path, words in spoken.items()}
    file = cache / "alignments.json"
    if file.exists():
        kept = json.loads(file.read_text(encoding="utf-8"))
        if kept["key"] == key:
            return {path: _read(fields) for path, fields in kept["alignments"].items()}
    aligner, found, paths = load_aligner(), dict[str, Alignment](), list(spoken)
    for start in range(0, len(paths), _BATCH):
        batch = paths[start : start + _BATCH]
        clips = [Clip(sounds.clip(path), "en") for path in batch]
        aligned = aligner.align(clips, [Transcript(spoken[path], "en") for path in batch])
        found.update(zip(batch, aligned, strict=True))
        if start % 512 == 0:
            log.line(f"alignment: {start} of {len(paths)} clips")
    written = {path: _write(alignment) for path, alignment in found.items()}
    file.write_text(json.dumps({"key": key, "alignments": written}), encoding="utf-8")
    return found


def moved(alignment: Alignment, factor: float, shift: int) -> Alignment:
    """The alignment of a clip that was played `factor` times as fast, then shifted by so many samples.

    A place may end up before the clip or behind it: there are no frames, so nothing is heard of it.
    """

    def at(position: int) -> int:
        return round(position / factor) + shift

    return Alignment(
        tuple(Word(word.text, at(word.start), at(word.end), word.p) for word in alignment.words),
        tuple(Span(span.text, at(span.start), at(span.end)) for span in alignment.syllables),
        tuple(Span(span.text, at(span.start), at(span.end)) for span in alignment.phones),
        alignment.method,
    )


def _write(alignment: Alignment) -> dict[str, Any]:
    tiers: dict[str, Sequence[Word | Span]] = {
        "words": alignment.words,
        "syllables": alignment.syllables,
        "phones": alignment.phones,
    }
    spans = {name: [[x.text, x.start, x.end] for x in tier] for name, tier in tiers.items()}
    return spans | {"method": alignment.method}


def _read(fields: dict[str, Any]) -> Alignment:
    return Alignment(
        tuple(Word(*span) for span in fields["words"]),
        tuple(Span(*span) for span in fields["syllables"]),
        tuple(Span(*span) for span in fields["phones"]),
        fields["method"],
    )
