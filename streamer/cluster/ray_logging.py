"""Ray says much on stderr; what matters comes as an exception as well, and all of it is in its log files."""

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
    """While Ray starts: its C++ side is told to be quiet, and says there that it was told."""
    os.environ.setdefault(_LEVEL, "fatal")
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(nowhere)
        os.close(kept)


def silence_ray_data() -> None:
    """Ray Data's own reports; its log file has them all the same."""
    log = logging.getLogger("ray.data")
    for handler in list(log.handlers):
        if handler.name == "console":
            log.removeHandler(handler)
