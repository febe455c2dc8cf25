"""Where the files of a Whisper model may lie on this machine, without a network."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from .hub import find_cached_whisper, whisper_repositories

MODEL_FILE: Final = "model.bin"


def whisper_folders(name: str) -> tuple[Path, ...]:
    """The complete faster-whisper folders of a known model, in order of preference; empty where there is
    none, and for an unknown name."""
    if name not in whisper_repositories():
        return ()
    cached = find_cached_whisper(name)
    return () if cached is None else (cached,)
