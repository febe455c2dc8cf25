"""CPU threads per model, where several libraries compute on the same cores.

Measured on two cores, one stream of RAVDESS, with threads that wait passively (OMP_WAIT_POLICY): the words of
an utterance take Whisper tiny.en 178 ms with one thread and 142 with two, base 398 and 282; with twelve
streams, two calls at a time, two threads are no worse than one (docs/adr/0042).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_MAX_TRANSCRIBER_THREADS: Final = 4
"""Whisper's small models gain little from more."""

_MAX_CALLS: Final = 16
"""Of one model at a time: each needs memory of its own."""


def transcriber_threads() -> int:
    """Of each live call: all cores, at most four."""
    return min(usable_threads(), _MAX_TRANSCRIBER_THREADS)


def emotion_threads(*, words: bool) -> int | None:
    """Threads of the emotion model. words: whether a transcriber runs at the same time. None where the
    environment sets torch's threads (OMP_NUM_THREADS).
    """
    if "OMP_NUM_THREADS" in os.environ:
        return None
    cores = physical_cores()
    return cores - min(cores // 2, _MAX_TRANSCRIBER_THREADS) if words else cores


def recording_calls() -> int:
    """How many calls each model takes at a time where nobody waits for a single one: one for each core, or as
    many as OMP_NUM_THREADS says. Calls side by side use the cores better than one call on several of them: on
    two, Whisper base takes 88 to 152 ms for a second of speech in place of 112 to 195 (docs/adr/0040).
    """
    return min(usable_threads(), _MAX_CALLS)


def live_calls() -> int:
    """How many calls each model takes at a time while people speak: two, so that words of an utterance in
    progress keep no final waiting, or one for every four cores. Each has several cores where there are some,
    since somebody waits for it (docs/adr/0042).
    """
    return min(max(2, usable_threads() // 4), _MAX_CALLS)


def usable_threads() -> int:
    """As many as OMP_NUM_THREADS says, or there are cores."""
    given = os.environ.get("OMP_NUM_THREADS", "")
    return int(given) if given.isdigit() and int(given) else physical_cores()


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
