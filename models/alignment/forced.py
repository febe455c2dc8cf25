"""Forced alignment of English: words, syllables and phones with their time spans.

The words are given, so it is far more reliable than recognition. Where the transcript is wrong, however, the
wrong words are aligned: its users inherit the transcriber's errors.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ..audio_checks import is_audible, sanitize_samples
from ..languages import is_in_languages
from ..types import Alignment, Clip, Transcript
from .pronunciation import Pronunciation
from .sphinx import SphinxAligner
from .tiers import even_tiers, forced_tiers
from .word_spans import align_from_transcript

_LANGUAGES: Final = ("en",)
"""Of the wheel's dictionary and acoustic model."""


class ForcedAligner:
    """`types.Aligner` with PocketSphinx, in this process. The search holds the global interpreter lock, some
    30 ms for a second of speech; `aligner_process` runs it in a process of its own.

    Where no forced alignment is possible (no audible sound, too many words for the audio, no path found),
    words keep the transcriber's times, or an even split, with their phones evenly spaced inside.

    A word that cannot be read as English (one in another script) gets the span between its neighbours and no
    phones. A transcript in another language, or with more such words than readable ones, gets words only.
    """

    def __init__(self) -> None:
        """Load the acoustic model and the dictionary. Raises TranscriberError."""
        self._aligner = SphinxAligner()

    @property
    def name(self) -> str:
        return "pocketsphinx en-us"

    def align(self, clips: Sequence[Clip], transcripts: Sequence[Transcript | None]) -> list[Alignment]:
        """One alignment per clip. Its words correspond one to one to the transcript's (`words`, or `text`
        split at spaces) and keep their `confidence`. Clips of any length, any sample values, any text."""
        return [self._align(clip, transcript) for clip, transcript in zip(clips, transcripts, strict=True)]

    def _align(self, clip: Clip, transcript: Transcript | None) -> Alignment:
        samples = sanitize_samples(clip.samples)
        fallback = align_from_transcript(transcript, len(samples))
        if transcript is None or not fallback.words or not is_in_languages(clip, transcript, _LANGUAGES):
            return fallback
        spoken = [self._aligner.lexicon.pronounce(word.text) for word in fallback.words]
        if not _mostly_readable(spoken):
            return fallback
        tokens = [token for word in spoken for token in word or ()]
        phone_spans = self._aligner.align(samples, tokens) if is_audible(samples) else None
        if phone_spans is None:
            return even_tiers(fallback, spoken)
        return forced_tiers(fallback.words, spoken, phone_spans, len(samples))


def _mostly_readable(spoken: Sequence[Pronunciation]) -> bool:
    """Whether at least as many words have a pronunciation as have none. Unspoken words (`-`) do not count."""
    return sum(word is None for word in spoken) <= sum(bool(word) for word in spoken)
