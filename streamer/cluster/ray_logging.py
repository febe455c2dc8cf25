"""Silencing of Ray's output on stderr: errors are raised as exceptions, and its log files hold all of it."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_LEVEL: Final = "RAY_BACKEND_LOG_LEVEL"


@contextmanager
def silence_startup() -> Iterator[None]:
    """Silence stderr while Ray starts: its C++ core prints a note about its own log level."""
    os.environ.setdefault(_LEVEL, "fatal")
    sys.stderr.flush()
    stderr = os.dup(2)
    devnull = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(devnull, 2)
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(devnull)
        os.close(stderr)


def silence_ray_data() -> None:
    """Remove Ray Data's console reports; they remain in its log file."""
    log = logging.getLogger("ray.data")
    for handler in list(log.handlers):
        if handler.name == "console":
            log.removeHandler(handler)
