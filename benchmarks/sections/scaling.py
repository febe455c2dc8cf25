"""What docs/scaling.md rests on: a server without models, Ray against the plain engine, and a simulation."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from benchmarks import front, simulation
from benchmarks.suite.parts import Part, Progress, Setup

COUNTS: Final = (20, 80, 160, 320)


def measure(setup: Setup) -> Iterator[Part]:
    """Needs recordings: those of docs/scaling.md are RAVDESS's."""
    if setup.speech is None:
        raise ValueError("expected --speech FOLDER for this section, got none; name a folder of recordings")
    yield Progress("a server without models")
    yield "### A server without models: `python -m benchmarks.front --speech ...`\n\n"
    yield from front.tables(setup.speech, COUNTS, front.SECONDS)
    yield Progress("Ray")
    yield "\n### Ray, one replica, against the plain engine: `python -m benchmarks.cluster --speech ...`\n\n"
    yield from _cluster(setup.speech)
    yield Progress("simulation")
    yield "\n### Queueing, simulated: `python -m benchmarks.simulation`\n\n"
    yield from simulation.tables()


def _cluster(speech: Path) -> Iterator[str]:
    """In a process of its own: a replica of one core has one thread, and so has what it is compared with."""
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.cluster", "--speech", str(speech)],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        text=True,
    ) as measuring:
        assert measuring.stdout is not None
        yield from measuring.stdout
    if measuring.returncode:
        raise subprocess.CalledProcessError(measuring.returncode, measuring.args)
