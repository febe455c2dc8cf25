"""Sound and words to emotion: the front door.

Importing it costs numpy only; the loaders import the frameworks when they are called.
"""

from __future__ import annotations

from .cpu_threads import threads_for_emotion
from .errors import CheckpointError, DeviceError, ModelError, TranscriberError
from .labels import LABELS
from .loaders import load_aligner, load_recognizer, load_transcriber
from .types import (
    SAMPLE_RATE_HZ,
    Aligner,
    Alignment,
    AudioCode,
    Clip,
    HearsAhead,
    Prediction,
    Probabilities,
    Recognizer,
    Samples,
    Span,
    Speech,
    Transcriber,
    Transcript,
    Word,
)

__all__ = [
    "LABELS",
    "SAMPLE_RATE_HZ",
    "Aligner",
    "Alignment",
    "AudioCode",
    "CheckpointError",
    "Clip",
    "DeviceError",
    "HearsAhead",
    "ModelError",
    "Prediction",
    "Probabilities",
    "Recognizer",
    "Samples",
    "Span",
    "Speech",
    "Transcriber",
    "TranscriberError",
    "Transcript",
    "Word",
    "load_aligner",
    "load_recognizer",
    "load_transcriber",
    "threads_for_emotion",
]
