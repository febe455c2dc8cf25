"""Whether PocketSphinx is installed. It has no wheel for the newest Python, and is optional there."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final

from .errors import TranscriberError

NOT_INSTALLED: Final = (
    "expected PocketSphinx, but it is not installed: pip install pocketsphinx (for Python 3.14 it is built "
    "with a C compiler), or transcribe with Whisper: pip install 'emostream[whisper]'"
)


def is_pocketsphinx_installed() -> bool:
    return find_spec("pocketsphinx") is not None


def require_pocketsphinx() -> None:
    """Raises TranscriberError."""
    if not is_pocketsphinx_installed():
        raise TranscriberError(NOT_INSTALLED)
