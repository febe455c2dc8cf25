"""Multimodal emotion recognition from audio and text: the public interface of the models.

Importing it imports nothing else: a name brings its module when it is first used, and the loaders import the
frameworks when they are called.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from . import silero
    from .baseline import BaselineSettings, SpeakerBaseline, Voice
    from .checkpoint_files import BUNDLED, resolve_checkpoint
    from .cpu_threads import emotion_threads, live_calls, recording_calls
    from .errors import CheckpointError, DeviceError, ModelError, TranscriberError, VoiceActivityError
    from .heap import limit_arenas, release_free_memory
    from .labels import LABELS
    from .languages import primary_subtag
    from .loaders import load_aligner, load_recognizer, load_speech_detector, load_transcriber
    from .media_suffixes import MEDIA_SUFFIXES
    from .types import (
        REASONS,
        SAMPLE_RATE_HZ,
        Aligner,
        Alignment,
        Clip,
        ConcurrentRecognizer,
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

_LAZY: Final = {
    "BUNDLED": "checkpoint_files",
    "resolve_checkpoint": "checkpoint_files",
    "Aligner": "types",
    "Alignment": "types",
    "BaselineSettings": "baseline",
    "CheckpointError": "errors",
    "Clip": "types",
    "ConcurrentRecognizer": "types",
    "ConcurrentTranscriber": "types",
    "DeviceError": "errors",
    "EmotionInput": "types",
    "EncodedAudio": "types",
    "IncrementalTranscriber": "types",
    "InterimTranscriber": "types",
    "LABELS": "labels",
    "LanguageDetector": "types",
    "LanguageTranscriber": "types",
    "MEDIA_SUFFIXES": "media_suffixes",
    "ModelError": "errors",
    "NoEmotionReason": "types",
    "Prediction": "types",
    "PretrainedTranscriber": "types",
    "Probabilities": "types",
    "REASONS": "types",
    "Recognizer": "types",
    "SAMPLE_RATE_HZ": "types",
    "Samples": "types",
    "Span": "types",
    "SpeakerBaseline": "baseline",
    "SpeechDetector": "types",
    "SpeechPresence": "types",
    "Transcriber": "types",
    "TranscriberError": "errors",
    "Transcript": "types",
    "Voice": "baseline",
    "VoiceActivityError": "errors",
    "Word": "types",
    "emotion_threads": "cpu_threads",
    "live_calls": "cpu_threads",
    "recording_calls": "cpu_threads",
    "limit_arenas": "heap",
    "release_free_memory": "heap",
    "load_aligner": "loaders",
    "load_recognizer": "loaders",
    "load_speech_detector": "loaders",
    "load_transcriber": "loaders",
    "primary_subtag": "languages",
}

__all__ = [
    "BUNDLED",
    "LABELS",
    "MEDIA_SUFFIXES",
    "REASONS",
    "SAMPLE_RATE_HZ",
    "Aligner",
    "Alignment",
    "BaselineSettings",
    "CheckpointError",
    "Clip",
    "ConcurrentRecognizer",
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
    "limit_arenas",
    "live_calls",
    "load_aligner",
    "load_recognizer",
    "load_speech_detector",
    "load_transcriber",
    "primary_subtag",
    "recording_calls",
    "release_free_memory",
    "resolve_checkpoint",
    "silero",
]


def __getattr__(name: str) -> Any:
    """PEP 562: the module behind a public name is imported when the name is first used."""
    if name == "silero":
        return import_module(".silero", __name__)
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_LAZY[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)
