"""Loaders that import their framework only when called."""

from __future__ import annotations

from pathlib import Path

from .types import Aligner, Recognizer, Transcriber


def load_recognizer(
    checkpoint: str | Path | None = None,
    *,
    device: str = "auto",
    dtype: str = "auto",
    cpu_threads: int | None = None,
) -> Recognizer:
    """The emotion model, in eval mode and warm.

    checkpoint: a folder, a hub name, or None for the bundled weights. device: auto, cpu or cuda. dtype: of
    the encoders: float32, bfloat16, or auto for what pays on the device. cpu_threads: of
    this process; None for torch's own choice. Raises CheckpointError and DeviceError, and TranscriberError
    where the model needs an alignment and PocketSphinx cannot be loaded.
    """
    from .recognizer import EmotionRecognizer

    return EmotionRecognizer.load(checkpoint, device=device, dtype=dtype, cpu_threads=cpu_threads)


def load_transcriber(
    name: str = "auto", *, device: str = "auto", compute_type: str = "default"
) -> Transcriber | None:
    """The transcriber that `name` asks for, warm; or still loading in a process of its own, until its
    `name` is asked for.

    name: `auto` (Whisper tiny.en from the cache or the hub, otherwise PocketSphinx with one plain
    warning), `none` (returns None), `pocketsphinx`, a Whisper model name (tiny.en, small, ...) or a
    faster-whisper folder. Raises TranscriberError and DeviceError.
    """
    from .transcription.factory import create_transcriber

    return create_transcriber(name, device=device, compute_type=compute_type)


def load_aligner() -> Aligner:
    """The forced aligner for English, warm, in a process of its own.

    Raises TranscriberError where PocketSphinx, whose model and dictionary it uses, cannot be loaded.
    """
    from .alignment.aligner_process import AlignerProcess

    return AlignerProcess()
