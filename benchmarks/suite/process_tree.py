"""Memory and processor time of a process and all that it started."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True, slots=True)
class TreeUsage:
    """cpu_s: processor time so far. memory_mib: proportional set size (PSS), which counts a page that several
    processes share once; resident memory where the system has no such figure.
    """

    cpu_s: float
    memory_mib: float


def tree_usage(pid: int) -> TreeUsage:
    """Of the process `pid` and its descendants."""
    cpu_s, memory = 0.0, 0
    for process in _tree(pid):
        try:
            cpu_s += _cpu_seconds(process)
            memory += _memory_bytes(process)
        except psutil.NoSuchProcess:
            continue  # it has ended meanwhile
    return TreeUsage(cpu_s, memory / 2**20)


def _tree(pid: int) -> Iterator[psutil.Process]:
    root = psutil.Process(pid)
    yield root
    yield from root.children(recursive=True)


def _cpu_seconds(process: psutil.Process) -> float:
    """In nanoseconds' resolution on Linux, where `cpu_times` has hundredths of a second, and the threads that
    have ended with it.
    """
    times = process.cpu_times()
    coarse = float(times.user + times.system)
    if sys.platform != "linux":
        return coarse
    try:
        fine = sum(
            int(file.read_text().split()[0]) for file in Path(f"/proc/{process.pid}/task").glob("*/schedstat")
        )
    except OSError:
        return coarse
    # Threads that have ended are missing in the fine figure.
    return fine / 1e9 if abs(fine / 1e9 - coarse) < 0.05 else coarse


def _memory_bytes(process: psutil.Process) -> int:
    info = process.memory_full_info()
    return int(getattr(info, "pss", info.rss))
