"""Loaders that import their framework only when called."""

from __future__ import annotations

from pathlib import Path

from .types import Recognizer, Transcriber


def load_recognizer(checkpoint: str | Path | None = None, *, device: str = "auto") -> Recognizer:
    """The emotion model, in eval mode and warm.

    checkpoint: a folder, a hub name, or None for the bundled weights. device: auto, cpu or cuda.
    Raises CheckpointError and DeviceError.
    """
    from .recognizer import EmotionRecognizer

    return EmotionRecognizer.load(checkpoint, device=device)


def load_transcriber(
    name: str = "auto", *, device: str = "auto", compute_type: str = "default"
) -> Transcriber | None:
    """The transcriber that `name` asks for, warm.

    name: `auto` (Whisper tiny.en from the cache or the hub, otherwise PocketSphinx with one plain
    warning), `none` (returns None), `pocketsphinx`, a Whisper model name (tiny.en, small, ...) or a
    faster-whisper folder. Raises TranscriberError and DeviceError.
    """
    from .transcriber import choose_transcriber

    return choose_transcriber(name, device=device, compute_type=compute_type)
