"""The words of clips: the corpus's own, or those of a transcriber."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from emostream.models import Transcript, load_transcriber

from ..corpora.example import Example
from ..errors import SettingsError
from .audio_cache import AudioCache
from .transcripts import Progress, Transcripts, cached_transcripts


def spoken_words(
    examples: Sequence[Example], audio: AudioCache, asr: str | None, cache: Path, progress: Progress
) -> Transcripts:
    """Key -> transcript, of the clips that have words. asr: the transcriber by name, whose words are then
    those of all clips; None: the examples' own English words. Raises SettingsError for `none`.
    """
    if asr is None:
        return {e.key: Transcript(e.english, "en") for e in examples if e.english}
    transcriber = load_transcriber(asr)
    if transcriber is None:
        raise SettingsError(
            f"expected a transcriber for --asr, got {asr}: name one, or leave the option out for the "
            "clips' own words, or none"
        )
    found = cached_transcripts(examples, audio, transcriber, cache, progress)
    return {key: transcript for key, transcript in found.items() if transcript.text.strip()}
