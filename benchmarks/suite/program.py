"""The program under measurement: how it is called, a free port for it, its end."""

from __future__ import annotations

import socket
import subprocess
import sys
from typing import Final

from emostream.models.checkpoint_files import BUNDLED

PROGRAM: Final = (sys.executable, "-m", "emostream.streamer.cli.main")
BUNDLED_MODEL: Final = ("--checkpoint", str(BUNDLED))
"""The self-contained model, which needs no weights of Whisper."""
NO_WORDS: Final = ("--asr", "none", *BUNDLED_MODEL)
TRANSCRIBERS: Final[dict[str, tuple[str, ...]]] = {
    "no words": NO_WORDS,
    "tiny.en": ("--asr", "tiny.en"),
    "base": ("--asr", "base"),
}
"""As tables name them -> arguments of `serve` and `bench`."""


def free_port() -> int:
    """A TCP port of the loopback interface that nobody listens on now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def stop(process: subprocess.Popen[str]) -> None:
    """End it as its user would, and at last by force."""
    process.terminate()
    try:
        process.wait(10.0)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stderr is not None:
        process.stderr.close()
