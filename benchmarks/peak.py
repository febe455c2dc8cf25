"""What the device can do at best: the yardstick that a network's speed is held against."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Final

import torch

MOST_S: Final = 15.0
_WARM: Final = 2
_LEAST: Final = 3
_SIZES: Final = {"cpu": (1024, 2048), "cuda": (1024, 2048, 8192)}
"""Of the matrices: a processor is busy with 2048, a GPU is not."""


def matmul_peak(device: torch.device, dtype: torch.dtype) -> float:
    """Floating-point operations a second of the fastest large square matrix product."""
    return max(2 * size**3 / _matmul_seconds(size, device, dtype) for size in _SIZES[device.type])


def _matmul_seconds(size: int, device: torch.device, dtype: torch.dtype) -> float:
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    return median_seconds(lambda: a @ b, device, repeats=15)


def median_seconds(call: Callable[[], object], device: torch.device, repeats: int) -> float:
    """Of `repeats` calls after two warm ones, on a GPU until the result is there; of fewer, three at least,
    where they would take longer than MOST_S together.
    """
    times: list[float] = []
    while len(times) < _WARM + min(repeats, _LEAST) or (len(times) < _WARM + repeats and sum(times) < MOST_S):
        began = time.perf_counter()
        call()
        if device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - began)
    return statistics.median(times[_WARM:])
