"""Freed memory, given back to the system."""

from __future__ import annotations

import ctypes
import sys


def release_free_memory() -> bool:
    """What this process has freed and glibc keeps for later allocations; False elsewhere. After the models
    have been loaded that is 20 to 40 MB: files as they were read, weights before they were rearranged.
    """
    if sys.platform != "linux":
        return False
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
    return trim is not None and bool(trim(0))
