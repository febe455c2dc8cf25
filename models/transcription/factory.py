"""Which transcriber to take: the one asked for, or the best that can be had.

Choosing costs no framework; the module of the chosen transcriber is imported when it is loaded.
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
"""What `auto` hopes for: the smallest, fast enough beside the emotion model on two cores."""


def create_transcriber(
    name: str, *, device: str = "auto", compute_type: str = "default", cpu_threads: int | None = None
) -> Transcriber | None:
    """The transcriber that `name` asks for, warm or still loading (see `load_transcriber`); None for `none`.

    name: `auto`, `none`, `pocketsphinx`, a Whisper model name, or a faster-whisper folder (one that is called
    like a model is written ./tiny.en). device: auto, cpu or cuda, for Whisper. compute_type: CTranslate2's,
    or `default` (int8 on the processor, float16 on CUDA). cpu_threads: for Whisper on the processor; None for
    half of the physical cores, at most four.

    Raises TranscriberError (unknown name, not to be had, damaged) and DeviceError.
    """
    if name == "none":
        return None
    if name == "pocketsphinx":
        return _sphinx()
    if name == "auto":
        return _automatic(device, compute_type, cpu_threads)
    if name in whisper_repositories():
        return _known(name, device, compute_type, cpu_threads)
    folder = Path(name).expanduser()
    if not folder.is_dir() and folder.name == name:
        raise TranscriberError(
            f"expected a transcriber or a faster-whisper folder, got {name!r}: choose auto, none, "
            f"pocketsphinx, {', '.join(whisper_repositories())}, or a folder that exists"
        )
    label = folder.resolve().name.removeprefix("faster-").removeprefix("whisper-")
    return _whisper(folder, label, device, compute_type, cpu_threads)


def _automatic(device: str, compute_type: str, cpu_threads: int | None) -> Transcriber:
    """Whisper from the cache, or from the hub, or else PocketSphinx with one warning that says why."""
    from .whisper_loader import resolve_compute_type, resolve_whisper_device

    # A wrong device or arithmetic is a mistake to be told, not a reason to fall back.
    resolve_compute_type(compute_type, resolve_whisper_device(device))
    try:
        return _known(AUTO_WHISPER, device, compute_type, cpu_threads)
    except TranscriberError as error:
        logger.warning("PocketSphinx writes the words, less well than Whisper would: %s", error)
        return _sphinx()


def _known(name: str, device: str, compute_type: str, cpu_threads: int | None) -> Transcriber:
    from .whisper_loader import resolve_whisper_device

    resolve_whisper_device(device)  # before anything is fetched for a device that is not there
    return _whisper(_had(name), name, device, compute_type, cpu_threads)


def _had(name: str) -> Path:
    """The folder of a known Whisper model, fetched where the cache has none and the hub answers."""
    folder = find_cached_whisper(name)
    if folder is not None:
        return folder
    if not is_hub_reachable():
        why = "HF_HUB_OFFLINE forbids asking the model hub" if offline() else "the model hub does not answer"
        raise TranscriberError(
            f"expected Whisper {name}, but it is not in the local cache and {why}: connect to the network "
            "once to fetch it, or name a faster-whisper folder"
        )
    return download_whisper(name)


def _whisper(
    folder: Path, label: str, device: str, compute_type: str, cpu_threads: int | None
) -> Transcriber:
    from .whisper import WhisperTranscriber

    return WhisperTranscriber.load(
        folder, label=label, device=device, compute_type=compute_type, cpu_threads=cpu_threads
    )


def _sphinx() -> Transcriber:
    from .sphinx_process import SphinxProcess

    return SphinxProcess()
