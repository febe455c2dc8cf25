"""How many threads each model gets: two libraries that each take all cores fight over them.

Measured on two cores, median of 28 RAVDESS clips: Whisper tiny.en alone takes 157 ms with one thread and 218
with two, the bundled emotion model 20 ms with either.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_MOST_FOR_WORDS: Final = 4
"""Whisper's small models gain little from more."""


def transcriber_threads() -> int:
    """Half of the cores, at most four: the other half is the emotion model's."""
    return min(max(1, physical_cores() // 2), _MOST_FOR_WORDS)


def emotion_threads(*, words: bool) -> int | None:
    """words: whether a transcriber works at the same time. None where the environment says how many torch
    gets (OMP_NUM_THREADS).
    """
    if "OMP_NUM_THREADS" in os.environ:
        return None
    return max(1, physical_cores() - transcriber_threads()) if words else physical_cores()


def physical_cores() -> int:
    """Cores that this process may use: twin threads of a core share its arithmetic."""
    if not hasattr(os, "sched_getaffinity"):
        return os.cpu_count() or 1
    usable = os.sched_getaffinity(0)
    topology = "/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"
    try:
        return len({Path(topology.format(cpu)).read_text("ascii") for cpu in usable})
    except OSError:
        return len(usable)
