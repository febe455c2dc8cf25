"""Everything known of a run's examples, and what of it the model is to hear and read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tokenizers import Tokenizer

from emostream.models import Alignment, Transcript
from emostream.models.text_normalization import normalize_text

from ..corpora.example import Example
from ..data.alignments import Alignments
from ..data.audio_cache import AudioCache
from ..data.frozen_features import FrozenFeatures
from .settings import TextSource

NO_ALIGNMENT = Alignment()


@dataclass(frozen=True, slots=True)
class TrainingInputs:
    """All by the examples' keys.

    transcripts: what the transcriber understood, where words are `recognized`. alignments: of the words that
    are really spoken, where the model has granularities that need them. heard, read: what wholly frozen
    encoders made of sound and, by their source, of words; None where the encoders run.
    """

    sounds: AudioCache
    tokenizer: Tokenizer
    transcripts: Mapping[str, Transcript] = field(default_factory=dict)
    alignments: Alignments = field(default_factory=dict)
    heard: FrozenFeatures | None = None
    read: Mapping[TextSource, FrozenFeatures] | None = None


def input_text(example: Example, source: TextSource, transcripts: Mapping[str, Transcript]) -> str:
    """What the model is to read of an example; empty where there is nothing, or punctuation alone."""
    text = _text_of(example, source, transcripts)
    return text if normalize_text(text) else ""


def _text_of(example: Example, source: TextSource, transcripts: Mapping[str, Transcript]) -> str:
    if source == "none":
        return ""
    if example.paired:
        return example.paired
    if source == "gold" or example.path is None:
        return example.english
    return transcripts[example.key].text
