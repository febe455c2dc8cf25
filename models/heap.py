"""glibc's heap: how many arenas it has, and what is freed given back to the system."""

from __future__ import annotations

import ctypes
import sys
from typing import Final

_M_ARENA_MAX: Final = -8  # of glibc's malloc.h


def limit_arenas(count: int) -> bool:
    """Let all threads share so many of glibc's arenas; False elsewhere. By default nearly every thread has
    one of its own, which keeps what its largest call needed. Of the whole process; a thread that has an arena
    keeps it.
    """
    return _call("mallopt", _M_ARENA_MAX, count)


def release_free_memory() -> bool:
    """What this process has freed and glibc keeps for later allocations; False elsewhere. After the models
    have been loaded that is 20 to 40 MB: files as they were read, weights before they were rearranged.
    """
    return _call("malloc_trim", 0)


def _call(name: str, *arguments: int) -> bool:
    """What the C library's function says; False where there is none: musl has neither."""
    if sys.platform != "linux":
        return False
    function = getattr(ctypes.CDLL(None), name, None)
    return function is not None and bool(function(*arguments))
