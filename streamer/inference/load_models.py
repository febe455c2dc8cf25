"""The models that the settings name, behind an engine."""

from __future__ import annotations

from collections.abc import Callable

from emostream.models import emotion_threads, load_recognizer, load_transcriber

from ..clock import Clock
from ..config import Settings
from .engine import Engine


def load_engine(
    settings: Settings,
    clock: Clock,
    *,
    live: bool = False,
    on_downloaded: Callable[[], None] = lambda: None,
) -> Engine:
    """live: whether somebody waits, so that an utterance on which a model works for too long is given up.
    on_downloaded: called behind whatever has to be downloaded. Raises ModelError.
    """
    chosen = settings.models
    # First, because what has a process of its own loads there while the recognizer loads here.
    transcriber = load_transcriber(chosen.asr, device=chosen.device, compute_type=chosen.compute_type)
    on_downloaded()
    recognizer = load_recognizer(
        chosen.checkpoint,
        device=chosen.device,
        dtype=chosen.dtype,
        cpu_threads=emotion_threads(words=transcriber is not None),
    )
    if transcriber is not None:
        _ = transcriber.name  # waits for it
    return Engine(
        transcriber,
        recognizer,
        clock,
        call_timeout_s=settings.server.model_timeout_ms / 1_000 if live else None,
    )
