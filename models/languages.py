"""The language of an utterance: BCP 47 tags of hints and transcripts."""

from __future__ import annotations

from collections.abc import Collection

from .types import Clip, Transcript


def primary_subtag(tag: str) -> str:
    """The language alone: `en` for `en-GB`, `en_us` and `EN`."""
    return tag.replace("_", "-").split("-")[0].lower()


def spoken_language(clip: Clip | None, transcript: Transcript) -> str | None:
    """The primary subtag of the language in which the transcript was spoken; None where it is unknown.

    The clip's hint comes first: a transcriber that supports the hinted language reports the same, and one
    that does not reports its own for whatever it wrote, and those words are not in the audio.
    """
    tag = (clip.language if clip is not None else None) or transcript.language
    return primary_subtag(tag) if tag else None


def is_in_languages(clip: Clip | None, transcript: Transcript, known: Collection[str]) -> bool:
    """Whether the transcript is in one of the `known` languages (primary subtags) or in an unknown one.
    An empty `known` stands for every language."""
    language = spoken_language(clip, transcript)
    return not known or language is None or language in known
