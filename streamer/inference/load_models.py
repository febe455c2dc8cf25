"""Loading the models of the settings into an engine."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from emostream.models import (
    BUNDLED,
    Recognizer,
    SpeechDetector,
    Transcriber,
    emotion_threads,
    live_calls,
    load_recognizer,
    load_speech_detector,
    load_transcriber,
    recording_calls,
    release_free_memory,
    resolve_checkpoint,
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
    """live: for audio in real time, so that an utterance on which a model works for too long fails, and each
    call of a model has several cores where there are some. on_downloaded: called after the downloads. Raises
    ModelError.
    """
    transcriber, recognizer = load_models(settings.models, on_downloaded, live=live)
    return Engine(
        transcriber,
        recognizer,
        clock,
        speech_detector=load_speech_check(settings.models),
        call_timeout_s=settings.server.model_timeout_ms / 1_000 if live else None,
        voice_probe=voice_probe(recognizer),
        recordings=not live,
    )


def load_models(
    models: ModelSettings, on_downloaded: Callable[[], None] = lambda: None, *, live: bool = False
) -> tuple[Transcriber | None, Recognizer]:
    """The transcriber (None for audio only) and the emotion model, side by side. Raises ModelError. What the
    models warn of is logged once all are loaded: beside an error it would be of no use.

    live: each call is to be over soon, so there are few at a time on several cores each; else as many calls
    at a time as there are cores.
    """
    with _warnings_held_back("emostream.models"):
        return _load_models(models, on_downloaded, None if live else recording_calls())


def _load_models(
    models: ModelSettings, on_downloaded: Callable[[], None], calls: int | None
) -> tuple[Transcriber | None, Recognizer]:
    """calls: of each model at a time; None for audio in real time."""
    whisper = Path(models.asr).expanduser()  # where it is no folder, the emotion model finds nothing in it
    checkpoint = resolve_checkpoint(models.checkpoint, whisper)

    def load_emotion() -> Recognizer:
        return load_recognizer(
            checkpoint,
            device=models.device,
            dtype=models.dtype,
            cpu_threads=emotion_threads(words=models.asr != "none" and calls is None),
            concurrent_calls=calls or live_calls(),
            whisper=whisper,
        )

    with ThreadPoolExecutor(1, "load emotion") as other_thread:
        side_by_side = models.asr != "none" and (models.checkpoint is not None or checkpoint != BUNDLED)
        loading = other_thread.submit(load_emotion) if side_by_side else None
        transcriber = load_transcriber(
            models.asr, device=models.device, compute_type=models.compute_type, concurrent_calls=calls
        )
        on_downloaded()
        if loading is None:
            # The transcriber may have been downloaded just now, and the better model needs its encoder.
            checkpoint = resolve_checkpoint(models.checkpoint, whisper)
        recognizer = load_emotion() if loading is None else loading.result()
    if transcriber is not None:
        _ = transcriber.name  # waits until it is loaded
    release_free_memory()
    return transcriber, recognizer


@contextmanager
def _warnings_held_back(package: str) -> Iterator[None]:
    """Warnings of this package's loggers come at the end, and not at all where it fails."""
    held: list[logging.LogRecord] = []

    def passes(record: logging.LogRecord) -> bool:
        if record.levelno != logging.WARNING or not record.name.startswith(f"{package}."):
            return True
        held.append(record)
        return False

    handlers = list(logging.getLogger().handlers)
    for handler in handlers:
        handler.addFilter(passes)
    try:
        yield
    finally:
        for handler in handlers:
            handler.removeFilter(passes)
    for record in dict.fromkeys(held):  # each handler had it
        logging.getLogger(record.name).handle(record)


def load_speech_check(models: ModelSettings) -> SpeechDetector | None:
    """What tells utterances from other sounds; None where it is turned off. Raises ModelError."""
    return load_speech_detector(models.speech_threshold) if models.speech_check else None
