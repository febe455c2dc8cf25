"""Loading the models of the settings into an engine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from emostream.models import (
    Recognizer,
    SpeechDetector,
    Transcriber,
    emotion_threads,
    load_recognizer,
    load_speech_detector,
    load_transcriber,
)

from ..clock import Clock
from ..config import ModelSettings, Settings
from .engine import Engine
from .voice_probe import voice_probe


def load_engine(
    settings: Settings,
    clock: Clock,
    *,
    live: bool = False,
    on_downloaded: Callable[[], None] = lambda: None,
) -> Engine:
    """live: for audio in real time, so that an utterance on which a model works for too long fails.
    on_downloaded: called after the downloads. Raises ModelError.
    """
    transcriber, recognizer = load_models(settings.models, on_downloaded)
    return Engine(
        transcriber,
        recognizer,
        clock,
        speech_detector=load_speech_check(settings.models),
        call_timeout_s=settings.server.model_timeout_ms / 1_000 if live else None,
        voice_probe=voice_probe(recognizer),
    )


def load_models(
    models: ModelSettings, on_downloaded: Callable[[], None] = lambda: None
) -> tuple[Transcriber | None, Recognizer]:
    """The transcriber (None for audio only) and the emotion model. Raises ModelError."""
    # First, because a transcriber with a process of its own loads there while the recognizer loads here.
    transcriber = load_transcriber(models.asr, device=models.device, compute_type=models.compute_type)
    on_downloaded()
    recognizer = load_recognizer(
        models.checkpoint,
        device=models.device,
        dtype=models.dtype,
        cpu_threads=emotion_threads(words=transcriber is not None),
        whisper=Path(models.asr).expanduser(),  # where it is no folder, the emotion model finds nothing in it
    )
    if transcriber is not None:
        _ = transcriber.name  # waits until it is loaded
    return transcriber, recognizer


def load_speech_check(models: ModelSettings) -> SpeechDetector | None:
    """What tells utterances from other sounds; None where it is turned off. Raises ModelError."""
    return load_speech_detector(models.speech_threshold) if models.speech_check else None
