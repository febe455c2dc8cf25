"""Sections of a benchmark that behave well or badly, for processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator

from benchmarks.suite.parts import Figure, Part, Progress, Setup


def good(setup: Setup) -> Iterator[Part]:
    yield Progress("measuring")
    yield f"smoke: {setup.smoke}\n"
    yield Figure("help", 0.25, "a note")


def raising(setup: Setup) -> Iterator[Part]:
    yield "before\n"
    raise ValueError("expected X, got Y")


def crashing(setup: Setup) -> Iterator[Part]:
    yield "before\n"
    os._exit(7)


def hanging(setup: Setup) -> Iterator[Part]:
    """Leaves a process, whose number it yields."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    yield str(child.pid)
    time.sleep(600)
