"""Whether there is an NVIDIA GPU, asked of its driver: torch, which could tell, takes seconds to import."""

from __future__ import annotations

import ctypes
import sys
from typing import Final

_DRIVER: Final = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"


def has_nvidia_gpu() -> bool:
    """Whether the driver offers this process a device (CUDA_VISIBLE_DEVICES hides them)."""
    try:
        driver = ctypes.CDLL(_DRIVER)
        count = ctypes.c_int(0)
        if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
            return False
    except (OSError, AttributeError):  # there is no driver, or a library of another kind by its name
        return False
    return count.value > 0
