"""Where the files of a Whisper model lie on this machine, without a network."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from .factory import local_copies
from .hub import whisper_repositories

MODEL_FILE: Final = "model.bin"

logger = logging.getLogger("emostream")


def whisper_folders(name: str) -> Iterator[Path]:
    """The complete faster-whisper folders of a known model, in the order in which the transcriber tries them.

    None for an unknown name. A package is verified, and joined where it is in parts, when its turn comes.
    """
    if name in whisper_repositories():
        yield from (copy.folder for copy in local_copies(name, logger.warning))
