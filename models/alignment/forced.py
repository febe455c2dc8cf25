"""Forced alignment of English: words, syllables and phones at their places in the sound.

Known words on known sound, so it is far surer than recognition. But it is told the words, not asked: where
the transcript is wrong, wrong words get places, and whoever uses them takes over the transcriber's risk.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..types import Alignment, Clip, Transcript
from ..waveform import audible, bounded
from .places import place_words
from .sphinx import SphinxAligner
from .tiers import forced_tiers, spread_tiers


class ForcedAligner:
    """`types.Aligner` with PocketSphinx, in this process. It holds the interpreter while it searches, some
    30 ms for a second of speech: `process` keeps that from others.

    Where no forced alignment can be had (nothing audible, too many words for the sound, no path found) words
    lie where the transcriber heard them, or in an even split, with their phones at even distances inside. A
    transcript in another language, or with a word in another script, has words alone.
    """

    def __init__(self) -> None:
        """Load the acoustic model and the dictionary. Raises TranscriberError."""
        self._aligner = SphinxAligner()

    @property
    def name(self) -> str:
        return "pocketsphinx en-us"

    def align(self, clips: Sequence[Clip], transcripts: Sequence[Transcript | None]) -> list[Alignment]:
        """One alignment a clip, its words one for one those of the transcript (`words`, or `text` at its
        spaces) with their `p`. Clips of any length, any sample values, any text."""
        return [self._one(clip, transcript) for clip, transcript in zip(clips, transcripts, strict=True)]

    def _one(self, clip: Clip, transcript: Transcript | None) -> Alignment:
        samples = bounded(clip.samples)
        rough = place_words(transcript, len(samples))
        language = None if transcript is None else transcript.language or clip.language
        if not rough.words or not _is_english(language):
            return rough
        spoken = [self._aligner.lexicon.pronounce(word.text) for word in rough.words]
        tokens = [token for word in spoken for token in word]
        if not all(token.phones for token in tokens):
            return rough
        placed = self._aligner.place(samples, tokens) if audible(samples) else None
        return spread_tiers(rough, spoken) if placed is None else forced_tiers(rough.words, spoken, placed)


def _is_english(language: str | None) -> bool:
    """Whether it is, as far as anybody has said. language: BCP 47."""
    return language is None or language.lower().split("-")[0] == "en"
