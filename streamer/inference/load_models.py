"""The models that the settings name, behind an engine."""

from __future__ import annotations

from collections.abc import Callable

from emostream.models import load_recognizer, load_transcriber, threads_for_emotion

from ..clock import Clock
from ..config import Settings
from .engine import Engine


def load_engine(
    settings: Settings,
    clock: Clock,
    *,
    live: bool = False,
    at_last: Callable[[], None] = lambda: None,
) -> Engine:
    """live: whether somebody waits, so that an utterance on which a model works for too long is given up.
    at_last: called behind whatever has to be downloaded. Raises ModelError.
    """
    chosen = settings.models
    # First, because what has a process of its own loads there while the recognizer loads here.
    transcriber = load_transcriber(chosen.asr, device=chosen.device, compute_type=chosen.compute_type)
    at_last()
    recognizer = load_recognizer(
        chosen.checkpoint,
        device=chosen.device,
        dtype=chosen.dtype,
        cpu_threads=threads_for_emotion(words=transcriber is not None),
    )
    if transcriber is not None:
        _ = transcriber.name  # waits for it
    return Engine(
        transcriber, recognizer, clock, patience_s=settings.server.patience_ms / 1_000 if live else None
    )
