"""One load of streams against a server process: run, and its figures."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..clock import WallClock
from .interim_words import InterimWords
from .latency import rows, segmentation
from .load_generator import StreamRun, run_streams
from .server_process import ServerProcess
from .workload import Workload


@dataclass(frozen=True, slots=True)
class Measurement:
    """What the clients and the server process report.

    wall_s: of the streams. cpu_s: processor time of the server meanwhile. ready_s: from the server's start
    until it accepted connections. counters: of its `/metrics`.
    """

    loads: Sequence[Workload]
    runs: Sequence[StreamRun]
    wall_s: float
    cpu_s: float
    memory_bytes: int
    ready_s: float
    counters: Mapping[tuple[str, tuple[str, ...]], float]

    def figures(self) -> dict[str, Any]:
        """For JSON."""
        runs = self.runs
        spent, wasted = (self.counters["emostream_model_seconds_total", (use,)] for use in ("all", "wasted"))
        interim_words = InterimWords.of([shown for run in runs for shown in run.texts])
        pings = [ping for run in runs for ping in run.pings_s]
        return {
            "streams": len(runs),
            "latency": [row.as_dict() for row in rows(runs)],
            "segmentation": asdict(segmentation(self.loads, runs)),
            "interim_results": sum(run.interim_results for run in runs),
            "interim_words": None if interim_words is None else interim_words.as_dict(),
            "interim_words_cores": self.counters["emostream_model_seconds_total", ("interim_words",)]
            / self.wall_s,
            "dropped_ms": sum(run.totals.dropped_ms for run in runs if run.totals is not None),
            "errors": [error for run in runs for error in run.errors],
            "refused": [run.refused for run in runs if run.refused is not None],
            "slowest_ping_ms": round(1_000 * max(pings, default=0.0), 1),
            "wasted_share": wasted / spent if spent else 0.0,
            "model_s": spent,
            "cores_busy": self.cpu_s / self.wall_s,
            "memory_mib": self.memory_bytes / 2**20,
            "ready_s": self.ready_s,
            "cores": os.cpu_count(),
        }


def measure(
    arguments: Sequence[str], loads: Sequence[Workload], on_sent: Callable[[float], None] = lambda _: None
) -> Measurement:
    """A stream per load, at once, against a new server with these arguments of `emostream serve`.

    on_sent: takes seconds of audio that one of them has sent.
    """
    with ServerProcess(arguments) as server:
        before, began = server.usage(), time.perf_counter()
        sounds = [load.samples for load in loads]
        runs = asyncio.run(run_streams(server.socket_url, sounds, WallClock(), on_sent=on_sent))
        wall_s, after = time.perf_counter() - began, server.usage()
        return Measurement(
            loads,
            runs,
            wall_s,
            after.cpu_s - before.cpu_s,
            after.rss_bytes,
            server.ready_s,
            server.counters(),
        )
