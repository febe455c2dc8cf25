"""Memory and processor time of a process and all that it started."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

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
    """With the threads that have ended. Linux has it in nanoseconds, where `cpu_times` has hundredths of a
    second: a stream of silence takes a tenth in half a minute.
    """
    if sys.platform != "linux":
        times = process.cpu_times()
        return float(times.user + times.system)
    try:
        return time.clock_gettime(_cpu_clock(process.pid))
    except OSError as error:
        raise psutil.NoSuchProcess(process.pid) from error


def _cpu_clock(pid: int) -> int:
    """What clock_getcpuclockid(3) returns for a process; Python has it for threads alone."""
    return ~pid << 3 | 2


def _memory_bytes(process: psutil.Process) -> int:
    info = process.memory_full_info()
    return int(getattr(info, "pss", info.rss))
