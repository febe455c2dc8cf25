"""Creation of a transcriber by name, or of the best available one.

The chosen transcriber's module, with its framework, is imported only when it is loaded.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final

from ..errors import TranscriberError
from ..types import Transcriber
from .hub import download_whisper, find_cached_whisper, is_hub_reachable, offline, whisper_repositories

logger = logging.getLogger("emostream")

AUTO_WHISPER: Final = "tiny.en"
"""The first choice of `auto`: the smallest model, fast enough beside the emotion model on two cores."""


def create_transcriber(
    name: str, *, device: str = "auto", compute_type: str = "default", cpu_threads: int | None = None
) -> Transcriber | None:
    """The transcriber called `name`, warmed up or still loading (see `load_transcriber`); None for `none`.

    name: `auto`, `none`, `pocketsphinx`, a Whisper model name, or a faster-whisper folder (write ./tiny.en
    for a folder named like a model). device: auto, cpu or cuda, for Whisper. compute_type: CTranslate2's, or
    `default` (int8 on the CPU, float16 on CUDA). cpu_threads: for Whisper on the CPU; None for half of the
    physical cores, at most four.

    Raises TranscriberError (unknown name, unavailable, damaged) and DeviceError.
    """
    if name == "none":
        return None
    if name == "pocketsphinx":
        return _load_sphinx()
    if name == "auto":
        return _load_auto(device, compute_type, cpu_threads)
    if name in whisper_repositories():
        return _load_known_whisper(name, device, compute_type, cpu_threads)
    folder = Path(name).expanduser()
    if not folder.is_dir() and folder.name == name:
        raise TranscriberError(
            f"expected a transcriber or a faster-whisper folder, got {name!r}: choose auto, none, "
            f"pocketsphinx, {', '.join(whisper_repositories())}, or a folder that exists"
        )
    label = folder.resolve().name.removeprefix("faster-").removeprefix("whisper-")
    return _load_whisper(folder, label, device, compute_type, cpu_threads)


def _load_auto(device: str, compute_type: str, cpu_threads: int | None) -> Transcriber:
    """Whisper from the cache or the hub, or else PocketSphinx with one warning that gives the reason."""
    from .whisper_loader import resolve_compute_type, resolve_whisper_device

    # A wrong device or compute type is the user's error, not a reason to fall back.
    resolve_compute_type(compute_type, resolve_whisper_device(device))
    try:
        return _load_known_whisper(AUTO_WHISPER, device, compute_type, cpu_threads)
    except TranscriberError as error:
        logger.warning("Falling back to PocketSphinx, which is less accurate than Whisper: %s", error)
        return _load_sphinx()


def _load_known_whisper(name: str, device: str, compute_type: str, cpu_threads: int | None) -> Transcriber:
    from .whisper_loader import resolve_whisper_device

    resolve_whisper_device(device)  # before anything is downloaded for a device that is not available
    return _load_whisper(_whisper_folder(name), name, device, compute_type, cpu_threads)


def _whisper_folder(name: str) -> Path:
    """The folder of a known Whisper model, downloaded where the cache lacks it and the hub is reachable."""
    folder = find_cached_whisper(name)
    if folder is not None:
        return folder
    if not is_hub_reachable():
        reason = "HF_HUB_OFFLINE forbids using the model hub" if offline() else "the model hub is unreachable"
        raise TranscriberError(
            f"expected Whisper {name}, but it is not in the local cache and {reason}: connect to the network "
            "once to download it, or name a faster-whisper folder"
        )
    return download_whisper(name)


def _load_whisper(
    folder: Path, label: str, device: str, compute_type: str, cpu_threads: int | None
) -> Transcriber:
    from .whisper import WhisperTranscriber

    return WhisperTranscriber.load(
        folder, label=label, device=device, compute_type=compute_type, cpu_threads=cpu_threads
    )


def _load_sphinx() -> Transcriber:
    from .sphinx_process import SphinxProcess

    return SphinxProcess()
