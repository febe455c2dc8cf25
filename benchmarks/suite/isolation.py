"""A section in a process of its own: no section's models, threads or crash reach the next one."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import signal
import time
import traceback
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import Final

from benchmarks.suite.parts import Failure, Measure, Part, Section, Setup

_LOOK_EVERY_S: Final = 10.0


def run_isolated(
    section: Section, setup: Setup, look_every_s: float = _LOOK_EVERY_S
) -> Iterator[Part | None]:
    """Its parts as they come, None where there was none for a while; at last a Failure if it failed, crashed
    or took too long. What it started ends with it.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(section, setup, theirs), name=section.name)
    process.start()
    theirs.close()
    end = time.monotonic() + section.limit_s(setup.smoke)
    try:
        yield from _receive(ours, end, look_every_s)
    except TimeoutError:
        yield Failure(f"no result within {section.limit_s(setup.smoke):.0f} s")
    except EOFError:
        process.join()
        if process.exitcode:
            yield Failure(f"its process ended with exit status {process.exitcode}")
    finally:
        ours.close()
        _end_group(process.pid)
        process.kill()
        process.join()


def _receive(pipe: Connection, end: float, look_every_s: float) -> Iterator[Part | None]:
    """Raises EOFError when the other side has ended, TimeoutError at `end`."""
    while True:
        left = end - time.monotonic()
        if left <= 0.0:
            raise TimeoutError
        yield pipe.recv() if pipe.poll(min(left, look_every_s)) else None


def _run(section: Section, setup: Setup, pipe: Connection) -> None:
    """In the new process."""
    if hasattr(os, "setsid"):
        os.setsid()  # so that the servers which it starts end with it
    module, _, name = section.measure.partition(":")
    try:
        measure: Measure = getattr(importlib.import_module(module), name)
        for part in measure(setup):
            pipe.send(part)
    except BaseException as error:  # of any kind: it is reported where the figures would be
        traceback.print_exc()
        lines = str(error).strip().splitlines()
        pipe.send(Failure(f"{type(error).__name__}: {lines[0] if lines else 'no message'}"))
    finally:
        pipe.close()


def _end_group(pid: int | None) -> None:
    """Of processes, by the number of their first one."""
    if pid is None or not hasattr(os, "killpg"):
        return
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return  # it has ended, and whatever it started
