"""Random numbers that depend on what they are for, not on what was drawn before.

So a resumed run draws what the uninterrupted one drew, and two processes together draw what one draws alone.
"""

from __future__ import annotations

import zlib

import numpy as np
import torch


def example_rng(seed: int, epoch: int, key: str) -> np.random.Generator:
    """The generator of one example in one epoch. key: of the example."""
    return np.random.default_rng([seed, epoch, zlib.crc32(key.encode())])


def seed_torch(seed: int, epoch: int, step: int, process: int, part: int = 0) -> None:
    """Seeds torch's generators, which dropout draws from, for one part of one step in one process."""
    place = [seed, epoch, step, process, *([part] if part else [])]
    state = np.random.SeedSequence(place).generate_state(2, np.uint32)
    torch.manual_seed(int(state[0]) << 31 ^ int(state[1]))
