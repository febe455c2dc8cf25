"""Loaders of the recognizer, transcriber and aligner; they import their frameworks only when called."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from .sphinx_availability import NOT_INSTALLED, is_pocketsphinx_installed, require_pocketsphinx
from .torch_availability import INSTALL, is_torch_installed, torch_is_missing
from .types import Aligner, SpeechDetector, Transcriber

if TYPE_CHECKING:
    from .recognition import Recognition

logger = logging.getLogger("emostream")


def load_recognizer(
    checkpoint: str | Path | None = None,
    *,
    device: str = "auto",
    dtype: str = "auto",
    cpu_threads: int | None = None,
    concurrent_calls: int = 1,
    whisper: Path | None = None,
) -> Recognition:
    """The emotion model, in eval mode and warmed up.

    checkpoint: a folder, a hub name, or None for the bundled weights. device: auto, cpu or cuda. dtype: of
    the encoders: float32, bfloat16, or auto for the faster one on the device. cpu_threads: of the model on a
    CPU; None for as many as there are cores. concurrent_calls: calls that share them, where the model takes
    several at once (see `types.ConcurrentRecognizer`). whisper: a faster-whisper folder in which an encoder
    that the checkpoint shares is looked for first. Raises CheckpointError and DeviceError, and
    TranscriberError where the model needs an alignment and PocketSphinx cannot be loaded.
    """
    from .checkpoint_files import resolve_checkpoint

    folder = resolve_checkpoint(checkpoint, whisper)
    if _runs_on_graphs(folder, device, dtype):
        from .graphs.recognizer import GraphRecognizer

        return GraphRecognizer(
            folder, cpu_threads=cpu_threads, concurrent_calls=concurrent_calls, whisper=whisper
        )
    if not is_torch_installed():
        raise torch_is_missing(folder, device=device, dtype=dtype)
    from .recognizer import EmotionRecognizer

    return EmotionRecognizer.load(
        folder, device=device, dtype=dtype, cpu_threads=cpu_threads, whisper=whisper
    )


def _runs_on_graphs(folder: Path, device: str, dtype: str) -> bool:
    """Whether a checkpoint runs whole on ONNX Runtime, without torch: where it has graphs, on a CPU, in
    float32 (docs/adr/0032). Where torch is not installed, `auto` never asks for it.
    """
    from .graphs.files import has_graphs, read_description

    if device not in ("auto", "cpu") or not has_graphs(folder):
        return False
    if not is_torch_installed():
        if device == "auto" and _has_nvidia_gpu():
            logger.warning("The emotion model runs on the CPU, though there is a GPU: %s", INSTALL)
        return dtype in ("auto", "float32")
    if device == "auto" and _has_nvidia_gpu() and _torch_has_cuda():
        return False
    from .checkpoint_files import read_config_fields
    from .precision import choose_precision_on_cpu

    encoders = read_description(folder, read_config_fields(folder)).encoder_parameters
    return choose_precision_on_cpu(dtype, encoders) == "float32"


def _has_nvidia_gpu() -> bool:
    from .nvidia import has_nvidia_gpu

    return has_nvidia_gpu()


def _torch_has_cuda() -> bool:
    """Asked only where there is a GPU, since torch takes seconds to import; it may have no CUDA."""
    import torch

    return torch.cuda.is_available()


def load_transcriber(
    name: str = "auto",
    *,
    device: str = "auto",
    compute_type: str = "default",
    concurrent_calls: int | None = None,
) -> Transcriber | None:
    """The transcriber called `name`, warmed up; PocketSphinx may still be loading in its own process until
    its `name` is read.

    name: `none` (returns None), `pocketsphinx`, a Whisper model name (tiny.en, small, ...), a faster-whisper
    folder, or `auto`: Whisper base or tiny.en from the cache or an installed package, base from the hub, or
    else PocketSphinx with a warning (None where it is not installed). concurrent_calls: of Whisper on a CPU,
    for all cores together; None for as many as serve people who speak, each on up to four cores.

    Raises TranscriberError and DeviceError.
    """
    from .transcription.factory import create_transcriber

    return create_transcriber(
        name, device=device, compute_type=compute_type, concurrent_calls=concurrent_calls
    )


def load_aligner(*, optional: bool = False) -> Aligner:
    """The forced aligner for English, loaded, in a process of its own.

    Raises TranscriberError where PocketSphinx, whose model and dictionary it uses, cannot be loaded.
    optional: where PocketSphinx is not installed, the word spans of the transcripts instead, with a warning.
    """
    from .alignment.aligner_process import AlignerProcess

    if optional and not is_pocketsphinx_installed():
        from .alignment.word_spans import TranscriptAligner

        logger.warning("Words are placed by the transcriber alone, without phones: %s", NOT_INSTALLED)
        return TranscriptAligner()
    require_pocketsphinx()
    return AlignerProcess()


def load_speech_detector(threshold: float | None = None) -> SpeechDetector:
    """The detector that looks at finished utterances, see `speech_presence`. threshold: None for its own.

    Raises VoiceActivityError where Silero's file is missing.
    """
    from .speech_presence import SileroSpeechDetector

    return SileroSpeechDetector() if threshold is None else SileroSpeechDetector(threshold)
