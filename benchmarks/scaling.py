"""What docs/scaling.md rests on: a server without models, Ray against the plain engine, and a simulation."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from . import cluster, front, simulation
from .machine import commit, machine

HEADING = "## Past one machine\n"
COUNTS = (20, 40, 60, 80)


def section(speech: Path) -> Iterator[str]:
    """Markdown. speech: a folder of recordings, each one utterance."""
    yield f"{HEADING}\nMeasured on {datetime.now(UTC):%Y-%m-%d}, commit {commit()}. {machine()}.\n"
    yield "\n### A server without models: `python -m benchmarks.front --speech ...`\n\n"
    yield from front.tables(speech, COUNTS, front.SECONDS)
    yield "\n### Ray, one replica, against the plain engine: `python -m benchmarks.cluster --speech ...`\n\n"
    yield from cluster.tables(speech)
    yield "\n### Queueing, simulated: `python -m benchmarks.simulation`\n\n"
    yield from simulation.tables()


def replaced(results: str, section: str) -> str:
    """The results with this section in the place of the one that was there, at the end."""
    return results.partition(HEADING)[0].rstrip("\n") + "\n\n" + section
