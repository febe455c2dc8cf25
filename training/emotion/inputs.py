"""Everything that is known about a run's examples, and the text the model reads for each of them."""

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
    """Audio, transcripts, alignments and precomputed features of a run, all by the examples' keys.

    transcripts: of the recognizer, where the text source is `recognized`. alignments: of the words that are
    really spoken, where the model has granularities that need them. audio_features, text_features: outputs of
    fully frozen encoders for the audio and, by its source, the text; None where the encoders run.
    """

    audio: AudioCache
    tokenizer: Tokenizer
    transcripts: Mapping[str, Transcript] = field(default_factory=dict)
    alignments: Alignments = field(default_factory=dict)
    audio_features: FrozenFeatures | None = None
    text_features: Mapping[TextSource, FrozenFeatures] | None = None


def input_text(example: Example, source: TextSource, transcripts: Mapping[str, Transcript]) -> str:
    """The text that the model reads for an example; empty where there is none, or only punctuation."""
    text = _raw_text(example, source, transcripts)
    return text if normalize_text(text) else ""


def _raw_text(example: Example, source: TextSource, transcripts: Mapping[str, Transcript]) -> str:
    if source == "none":
        return ""
    if example.paired:
        return example.paired
    if source == "gold" or example.path is None:
        return example.english
    return transcripts[example.key].text
