"""CPU threads per model: two libraries that each use all cores slow each other down.

Measured on two cores, median of 28 RAVDESS clips: Whisper tiny.en alone takes 157 ms with one thread and 218
with two, the bundled emotion model 20 ms with either.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_MAX_TRANSCRIBER_THREADS: Final = 4
"""Whisper's small models gain little from more."""


def transcriber_threads() -> int:
    """Half of the cores, at most four: the other half is for the emotion model."""
    return min(max(1, physical_cores() // 2), _MAX_TRANSCRIBER_THREADS)


def emotion_threads(*, words: bool) -> int | None:
    """Threads of the emotion model. words: whether a transcriber runs at the same time. None where the
    environment sets torch's threads (OMP_NUM_THREADS).
    """
    if "OMP_NUM_THREADS" in os.environ:
        return None
    return max(1, physical_cores() - transcriber_threads()) if words else physical_cores()


def physical_cores() -> int:
    """Physical cores that this process may use: hyper-threads of a core share its arithmetic units."""
    if not hasattr(os, "sched_getaffinity"):
        return os.cpu_count() or 1
    usable = os.sched_getaffinity(0)
    topology = "/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"
    try:
        return len({Path(topology.format(cpu)).read_text("ascii") for cpu in usable})
    except OSError:
        return len(usable)
