"""Multimodal emotion recognition from audio and text: the public interface of the models.

Importing it needs only numpy; the loaders import the frameworks when they are called.
"""

from __future__ import annotations

from . import silero
from .baseline import BaselineSettings, SpeakerBaseline, Voice
from .cpu_threads import emotion_threads
from .errors import CheckpointError, DeviceError, ModelError, TranscriberError, VoiceActivityError
from .labels import LABELS
from .languages import primary_subtag
from .loaders import load_aligner, load_recognizer, load_speech_detector, load_transcriber
from .types import (
    REASONS,
    SAMPLE_RATE_HZ,
    Aligner,
    Alignment,
    Clip,
    ConcurrentTranscriber,
    EmotionInput,
    EncodedAudio,
    IncrementalTranscriber,
    InterimTranscriber,
    LanguageDetector,
    LanguageTranscriber,
    NoEmotionReason,
    Prediction,
    PretrainedTranscriber,
    Probabilities,
    Recognizer,
    Samples,
    Span,
    SpeechDetector,
    SpeechPresence,
    Transcriber,
    Transcript,
    Word,
)

__all__ = [
    "LABELS",
    "REASONS",
    "SAMPLE_RATE_HZ",
    "Aligner",
    "Alignment",
    "BaselineSettings",
    "CheckpointError",
    "Clip",
    "ConcurrentTranscriber",
    "DeviceError",
    "EmotionInput",
    "EncodedAudio",
    "IncrementalTranscriber",
    "InterimTranscriber",
    "LanguageDetector",
    "LanguageTranscriber",
    "ModelError",
    "NoEmotionReason",
    "Prediction",
    "PretrainedTranscriber",
    "Probabilities",
    "Recognizer",
    "Samples",
    "Span",
    "SpeakerBaseline",
    "SpeechDetector",
    "SpeechPresence",
    "Transcriber",
    "TranscriberError",
    "Transcript",
    "Voice",
    "VoiceActivityError",
    "Word",
    "emotion_threads",
    "load_aligner",
    "load_recognizer",
    "load_speech_detector",
    "load_transcriber",
    "primary_subtag",
    "silero",
]
