"""Denormal numbers: states near silence are, and the processor is many times slower on them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def flushed_denormals() -> Iterator[None]:
    """In this thread they are zero inside; afterwards arithmetic follows IEEE 754 again."""
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)
