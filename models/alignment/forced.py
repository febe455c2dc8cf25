"""Forced alignment of English: words, syllables and phones at their places in the sound.

Known words on known sound, so it is far surer than recognition. But it is told the words, not asked: where
the transcript is wrong, wrong words get places, and whoever uses them takes over the transcriber's risk.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..audio_checks import is_audible, sanitize_samples
from ..types import Alignment, Clip, Transcript
from .pronunciation import Pronunciation
from .sphinx import SphinxAligner
from .tiers import even_tiers, forced_tiers
from .word_spans import align_from_transcript


class ForcedAligner:
    """`types.Aligner` with PocketSphinx, in this process. It holds the interpreter while it searches, some
    30 ms for a second of speech: `process` keeps that from others.

    Where no forced alignment can be had (nothing audible, too many words for the sound, no path found) words
    lie where the transcriber heard them, or in an even split, with their phones at even distances inside.

    A word that cannot be read as English (one in another script) has a place between its neighbours and no
    phones. A transcript in another language, or with more such words than others, has words alone.
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
        samples = sanitize_samples(clip.samples)
        rough = align_from_transcript(transcript, len(samples))
        if transcript is None or not rough.words or not _is_english(clip.language or transcript.language):
            return rough
        spoken = [self._aligner.lexicon.pronounce(word.text) for word in rough.words]
        if not _mostly_readable(spoken):
            return rough
        tokens = [token for word in spoken for token in word or ()]
        placed = self._aligner.place(samples, tokens) if is_audible(samples) else None
        if placed is None:
            return even_tiers(rough, spoken)
        return forced_tiers(rough.words, spoken, placed, len(samples))


def _is_english(language: str | None) -> bool:
    """Whether it is, as far as anybody has said. language: BCP 47.

    The clip's hint is to be asked first. A transcriber that knows the hinted language says the same; one that
    does not says `en` of whatever it wrote, and those words are not in the sound.
    """
    return language is None or language.lower().replace("_", "-").split("-")[0] == "en"


def _mostly_readable(spoken: Sequence[Pronunciation]) -> bool:
    """Whether no more words are beyond reading than are read. Words that say nothing are neither."""
    return sum(word is None for word in spoken) <= sum(bool(word) for word in spoken)
