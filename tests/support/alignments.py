"""One clip through an aligner, and what every alignment must be."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from emostream.models import Alignment, Clip, Samples, Span, Transcript, Word
from emostream.models.alignment.forced import ForcedAligner


def align(aligner: ForcedAligner, samples: Samples, text: str, language: str | None = None) -> Alignment:
    (alignment,) = aligner.align([Clip(samples)], [Transcript(text, language)])
    assert_well_formed(alignment, len(samples))
    return alignment


def assert_well_formed(alignment: Alignment, samples: int) -> None:
    tiers: list[Sequence[Word | Span]] = [alignment.words, alignment.syllables, alignment.phones]
    for tier in tiers:
        assert all(0 <= span.start <= span.end <= samples for span in tier)
        assert all(before.start <= after.start for before, after in pairwise(tier))
    assert all(before.end <= after.start for before, after in pairwise(alignment.phones))
    assert [phone for syllable in alignment.syllables for phone in syllable.text.split("-")] == [
        phone.text for phone in alignment.phones
    ]
