"""Whisper models in the local cache and on the model hub: lookup, completeness, download.

No model is loaded here, and the hub libraries are imported only when needed. The hub's URL, the cache folder
and the offline switch are huggingface_hub's own settings (HF_ENDPOINT, HF_HUB_CACHE, HF_HUB_OFFLINE); the
table of repositories is faster-whisper's.
"""

from __future__ import annotations

import http.client
import threading
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Final, cast

from ..errors import TranscriberError

REQUIRED_FILES: Final = ("model.bin", "config.json", "tokenizer.json")
_VOCABULARIES: Final = ("vocabulary.json", "vocabulary.txt")
_PROBE_TIMEOUT_S: Final = 2.0


def whisper_repositories() -> Mapping[str, str]:
    """Model name to hub repository, as faster-whisper has it."""
    from faster_whisper.utils import _MODELS

    return cast("Mapping[str, str]", _MODELS)


def missing_files(folder: Path) -> tuple[str, ...]:
    """The files that a faster-whisper folder lacks; empty when complete. Contents are not checked."""
    missing = [name for name in REQUIRED_FILES if not (folder / name).is_file()]
    if not any((folder / name).is_file() for name in _VOCABULARIES):
        missing.append(_VOCABULARIES[0])
    return tuple(missing)


def find_cached_whisper(name: str) -> Path | None:
    """The folder of a known model in the local cache; None where it is absent or incomplete."""
    from huggingface_hub import constants

    repository = whisper_repositories()[name]
    # As repo_folder_name has it, whose module takes a third of a second to import.
    if not Path(constants.HF_HUB_CACHE, f"models--{repository.replace('/', '--')}").is_dir():
        return None
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(repository, local_files_only=True))
    except LocalEntryNotFoundError:
        return None
    return None if missing_files(folder) else folder


def offline() -> bool:
    """Whether huggingface_hub is in offline mode."""
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


def is_hub_reachable(timeout_s: float = _PROBE_TIMEOUT_S) -> bool:
    """Whether the model hub responds within `timeout_s`. Sends no request in offline mode."""
    from huggingface_hub import constants

    if offline():
        return False
    answered = threading.Event()
    # A name server that never responds is not covered by a socket timeout, so the request runs in a thread
    # that can be abandoned.
    probe = threading.Thread(
        target=_probe, args=(constants.ENDPOINT, timeout_s, answered), name="hub-probe", daemon=True
    )
    probe.start()
    probe.join(timeout_s)
    return answered.is_set()


def _probe(address: str, timeout_s: float, answered: threading.Event) -> None:
    try:
        # Proxies and certificates come from the environment, as they do for the download itself.
        with urllib.request.urlopen(urllib.request.Request(address, method="HEAD"), timeout=timeout_s):
            answered.set()
    except (OSError, ValueError, http.client.HTTPException):  # refused, an error status, an invalid URL
        return


def download_whisper(name: str) -> Path:
    """Download a known model into the local cache, with progress bars on stderr, and return its folder.

    Raises TranscriberError where the download fails or is incomplete.
    """
    from huggingface_hub import snapshot_download

    try:
        folder = Path(
            snapshot_download(
                whisper_repositories()[name],
                allow_patterns=[*REQUIRED_FILES, *_VOCABULARIES, "preprocessor_config.json"],
            )
        )
    # The hub client raises its own errors and those of the HTTP library that it uses.
    except Exception as error:
        raise TranscriberError(
            f"Whisper {name} could not be downloaded from the model hub ({first_line(error)}): try again, or "
            "name a faster-whisper folder"
        ) from error
    if missing := missing_files(folder):
        raise TranscriberError(
            f"Whisper {name} on the model hub lacks {', '.join(missing)}: name another model or a "
            "faster-whisper folder"
        )
    return folder


def first_line(error: BaseException) -> str:
    """The first line of another library's error."""
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".:") if lines else type(error).__name__
