"""What docs/scaling.md rests on: a server without models, Ray against the plain engine, and a simulation."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import front, simulation
from benchmarks.machine import commit, machine

HEADING = "## Past one machine\n"
COUNTS = (20, 80, 160, 320)


def section(speech: Path) -> Iterator[str]:
    """Markdown. speech: a folder of recordings, each one utterance."""
    yield f"{HEADING}\nMeasured on {datetime.now(UTC):%Y-%m-%d}, commit {commit()}. {machine()}.\n"
    yield "\n### A server without models: `python -m benchmarks.front --speech ...`\n\n"
    yield from front.tables(speech, COUNTS, front.SECONDS)
    yield "\n### Ray, one replica, against the plain engine: `python -m benchmarks.cluster --speech ...`\n\n"
    yield from _cluster(speech)
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


def replaced(results: str, section: str) -> str:
    """The results with this section in the place of the one that was there, at the end."""
    return results.partition(HEADING)[0].rstrip("\n") + "\n\n" + section
