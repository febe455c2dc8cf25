"""Loading of a faster-whisper folder: completeness, device, compute type, threads."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import ctranslate2
from faster_whisper import WhisperModel

from ..cpu_threads import live_calls
from ..errors import DeviceError, TranscriberError
from .hub import first_line, missing_files
from .whisper_options import WhisperOptions

_PREFERRED: Final = {"cpu": ("int8", "float32"), "cuda": ("float16", "int8", "float32")}
_CALLS_OF_A_GPU: Final = 2


def concurrent_calls_of(options: WhisperOptions) -> int:
    """How many calls of a model loaded with these options compute at a time, with the same weights."""
    if options.device != "cpu":
        return _CALLS_OF_A_GPU
    return live_calls() if options.concurrent_calls is None else options.concurrent_calls


def load_whisper_model(folder: Path, options: WhisperOptions) -> WhisperModel:
    """The model in `folder`, loaded. The device of the options is cpu or cuda.

    Raises TranscriberError where the folder is missing, incomplete or damaged, or the device cannot compute
    in that type.
    """
    if not folder.is_dir():
        raise TranscriberError(
            f"expected a folder with a faster-whisper model, found none at {folder}: check the path, or name "
            "a Whisper model"
        )
    if missing := missing_files(folder):
        raise TranscriberError(
            f"expected a faster-whisper model in {folder}, but it lacks {', '.join(missing)}: download "
            "or convert the model again"
        )
    precision = resolve_compute_type(options.compute_type, options.device)
    try:
        return WhisperModel(
            str(folder),
            device=options.device,
            compute_type=precision,
            cpu_threads=options.threads,
            num_workers=concurrent_calls_of(options),
        )
    # CTranslate2 raises RuntimeError and ValueError, the tokenizer's reader a bare Exception.
    except Exception as error:
        raise unusable_model(folder, error) from error


def unusable_model(folder: Path, error: Exception) -> TranscriberError:
    return TranscriberError(
        f"expected a faster-whisper model in {folder}, but it cannot be used ({first_line(error)}): download "
        "or convert the model again"
    )


def resolve_whisper_device(device: str) -> str:
    """`cpu` or `cuda` for auto, cpu or cuda. Raises DeviceError where cuda is requested but not available."""
    if device not in ("auto", "cpu", "cuda"):
        raise DeviceError(f"expected the device auto, cpu or cuda, got {device!r}: choose one of the three")
    if device == "cpu":
        return "cpu"
    if ctranslate2.get_cuda_device_count() > 0:
        return "cuda"
    if device == "cuda":
        raise DeviceError(
            "expected a CUDA device for Whisper, found none: install NVIDIA's driver, or choose the "
            "device cpu"
        )
    return "cpu"


def resolve_compute_type(compute_type: str, device: str) -> str:
    """The compute type to load with: for `default` the best that the device supports, else the given one."""
    supported = ctranslate2.get_supported_compute_types(device)
    if compute_type == "default":
        return next((kind for kind in _PREFERRED[device] if kind in supported), "auto")
    if compute_type not in supported | {"auto"}:
        raise TranscriberError(
            f"expected a compute type that the {device} supports, got {compute_type!r}: choose default, "
            f"auto, {', '.join(sorted(supported))}"
        )
    return compute_type
