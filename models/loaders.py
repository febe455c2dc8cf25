"""Loaders of the recognizer, transcriber and aligner; they import their frameworks only when called."""

from __future__ import annotations

from pathlib import Path

from .types import Aligner, Recognizer, Transcriber


def load_recognizer(
    checkpoint: str | Path | None = None,
    *,
    device: str = "auto",
    dtype: str = "auto",
    cpu_threads: int | None = None,
    whisper: Path | None = None,
) -> Recognizer:
    """The emotion model, in eval mode and warmed up.

    checkpoint: a folder, a hub name, or None for the bundled weights. device: auto, cpu or cuda. dtype: of
    the encoders: float32, bfloat16, or auto for the faster one on the device. cpu_threads: torch's, for this
    process; None keeps torch's default. whisper: a faster-whisper folder in which an encoder that the
    checkpoint shares is looked for first. Raises CheckpointError and DeviceError, and TranscriberError
    where the model needs an alignment and PocketSphinx cannot be loaded.
    """
    from .recognizer import EmotionRecognizer

    return EmotionRecognizer.load(
        checkpoint, device=device, dtype=dtype, cpu_threads=cpu_threads, whisper=whisper
    )


def load_transcriber(
    name: str = "auto", *, device: str = "auto", compute_type: str = "default"
) -> Transcriber | None:
    """The transcriber called `name`, warmed up; PocketSphinx may still be loading in its own process until
    its `name` is read.

    name: `auto` (Whisper tiny.en from the cache or the hub, otherwise PocketSphinx with a warning), `none`
    (returns None), `pocketsphinx`, a Whisper model name (tiny.en, small, ...) or a faster-whisper folder.
    Raises TranscriberError and DeviceError.
    """
    from .transcription.factory import create_transcriber

    return create_transcriber(name, device=device, compute_type=compute_type)


def load_aligner() -> Aligner:
    """The forced aligner for English, loaded, in a process of its own.

    Raises TranscriberError where PocketSphinx, whose model and dictionary it uses, cannot be loaded.
    """
    from .alignment.aligner_process import AlignerProcess

    return AlignerProcess()
