"""`python -m benchmarks.front --speech FOLDER`: what one server process carries when models cost nothing.

Clients that stream at natural pace, in processes of their own, against `stub_server` in another one.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import IO, Any, Final

import numpy as np
import psutil

from benchmarks.front_client import APART_S, ClientReport
from emostream.streamer.bench.latency import Percentiles
from emostream.streamer.bench.load_generator import BLOCK_SAMPLES
from emostream.streamer.config import SAMPLE_RATE_HZ
from emostream.streamer.errors import ConfigError, ConnectError

COUNTS: Final = "25,50,100,150"
SECONDS: Final = 30.0
CLIENTS: Final = 2
"""Processes that share the streams of a run."""
FULL: Final = 0.7
"""Of a core: the rest is for messages that come at the same moment."""
SATURATED: Final = 0.9
"""Of the machine, or of a client's core: what is measured past it is not the server's limit."""
_SETTLING_S: Final = 1.0
_REPORT_TIMEOUT_S: Final = 60.0  # for the last results of a server that is too slow


@dataclass(frozen=True, slots=True)
class Point:
    """Cores that were busy while all streams were open: of the server, of each client, of all the machine.
    memory_mib: the server's, more than before the first stream.
    """

    streams: int
    seconds: float
    server: float
    clients: tuple[float, ...]
    whole: float
    memory_mib: float
    reports: tuple[ClientReport, ...]

    @property
    def saturated(self) -> bool:
        return self.whole > SATURATED * (psutil.cpu_count() or 1) or max(self.clients) > SATURATED

    @property
    def messages(self) -> tuple[float, float]:
        """In and out a second, without pings. In: blocks of 100 ms. Out: an ack a second, interim results,
        a start and a final for each utterance.
        """
        finals, interim_results = (
            sum(getattr(one, name) for one in self.reports) for name in ("finals", "interim_results")
        )
        events = (2 * finals + interim_results) / self.seconds
        return self.streams * SAMPLE_RATE_HZ / BLOCK_SAMPLES, self.streams + events


def tables(speech: Path, counts: Sequence[int], seconds: float) -> Iterator[str]:
    """Markdown. speech: a folder of recordings, each one utterance."""
    yield (
        f"A server whose recognizer returns at once; {CLIENTS} client "
        f"processes, {seconds:g} s of speech a stream, cores busy while all were open.\n\n"
    )
    heads = (
        *("streams", "server, cores", "a stream", "MiB a stream", "messages a second in / out"),
        *("decision to event p50 / p95 / p99, ms", "slowest ping, ms", "finals", "dropped, ms"),
        *("refused", "errors", "clients, cores", "machine, cores"),
    )
    yield f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}\n"
    points = []
    for streams in counts:
        points.append(measure(speech, streams, seconds))
        yield _row(points[-1])
    yield f"\n{_fit(points)}\n"


def measure(speech: Path, streams: int, seconds: float) -> Point:
    ramp_s = APART_S * streams + _SETTLING_S
    if seconds < ramp_s + 2 * _SETTLING_S:
        raise ConfigError(
            f"expected --seconds of at least {ramp_s + 2 * _SETTLING_S:.0f} for {streams} streams that come "
            f"one after the other, got {seconds:g}; give more"
        )
    with ExitStack() as stack:
        server, url = stack.enter_context(_server())
        clients = [
            stack.enter_context(_client(url, speech, range(first, streams, CLIENTS), seconds))
            for first in range(min(CLIENTS, streams))
        ]
        for client in clients:
            if _pipe(client.stdout).readline().strip() != "ready":
                raise ConnectError("expected a client that is ready, but it ended; see its output above")
        idle_mib = _memory_mib(server)
        for client in clients:
            print("go", file=_pipe(client.stdin), flush=True)
        time.sleep(ramp_s)
        seen = [server, *(psutil.Process(client.pid) for client in clients)]
        before, began = [*map(_cpu_s, seen), _machine_s()], time.perf_counter()
        time.sleep(seconds - ramp_s - _SETTLING_S)
        after, took_s = [*map(_cpu_s, seen), _machine_s()], time.perf_counter() - began
        memory_mib = _memory_mib(server) - idle_mib
        reports = tuple(
            ClientReport(**json.loads(one.communicate(timeout=_REPORT_TIMEOUT_S)[0])) for one in clients
        )
    busy = [(now - then) / took_s for now, then in zip(after, before, strict=True)]
    return Point(streams, seconds, busy[0], tuple(busy[1:-1]), busy[-1], memory_mib, reports)


def _row(point: Point) -> str:
    after = Percentiles.of([one for report in point.reports for one in report.after_end_s])
    pings = [ping for report in point.reports for ping in report.pings_s]
    into, out = point.messages
    totals = [
        sum(getattr(report, name) for report in point.reports)
        for name in ("finals", "dropped_ms", "refused", "errors")
    ]
    cells = (
        point.streams,
        f"{point.server:.2f}",
        f"{100 * point.server / point.streams:.2f} %",
        f"{point.memory_mib / point.streams:.2f}",
        f"{into:.0f} / {out:.0f}",
        "" if after is None else f"{after.p50:.1f} / {after.p95:.1f} / {after.p99:.1f}",
        f"{1_000 * max(pings, default=0.0):.0f}",
        *totals,
        " + ".join(f"{one:.2f}" for one in point.clients),
        f"{point.whole:.2f} of {psutil.cpu_count()}{', saturated' * point.saturated}",
    )
    return f"| {' | '.join(map(str, cells))} |\n"


def _fit(points: Sequence[Point]) -> str:
    """A line through the points of a machine that had time to spare."""
    free = [point for point in points if not point.saturated]
    if len({point.streams for point in free}) < 2:
        return (
            f"- {len(free)} of {len(points)} runs were on a machine with time to spare: no line through "
            "fewer than two."
        )
    slope, offset = np.polyfit([point.streams for point in free], [point.server for point in free], 1)
    fitted = (
        f"- {100 * slope:.2f} % of a core a stream and {100 * offset:.1f} % for none (least squares over "
    )
    fitted += f"{len(free)} of {len(points)} runs, without those of a saturated machine)"
    if slope <= 0.0:
        return f"{fitted}: too short to tell."
    return f"{fitted}: {FULL:g} of a core is full at {max(0.0, (FULL - offset) / slope):.0f} streams."


@contextmanager
def _server() -> Iterator[tuple[Any, str]]:
    """Its process, to be looked at, and its socket's address."""
    program = [sys.executable, "-m", "benchmarks.stub_server"]
    with subprocess.Popen(program, stderr=subprocess.PIPE, text=True) as process:
        try:
            line = _pipe(process.stderr).readline()
            if not line.startswith("Listening on "):
                raise ConnectError(f"expected a server, got: {line}{_pipe(process.stderr).read()}")
            # A pipe that is not read blocks the process that writes to it.
            Thread(target=_pipe(process.stderr).read, daemon=True).start()
            yield psutil.Process(process.pid), line.split()[2].replace("http", "ws", 1) + "/v1/stream"
        finally:
            process.terminate()


@contextmanager
def _client(url: str, speech: Path, numbers: range, seconds: float) -> Iterator[subprocess.Popen[str]]:
    """Prints `ready` when its audio is prepared, starts at a line on stdin, and prints its `ClientReport`."""
    program = [sys.executable, "-m", "benchmarks.front_client", url, str(speech), str(seconds)]
    program += map(str, (numbers.start, numbers.stop, numbers.step))
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.terminate()


def _pipe(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None
    return pipe


def _cpu_s(process: Any) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _machine_s() -> float:
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0))


def _memory_mib(process: Any) -> float:
    return float(process.memory_info().rss) / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.front", description=__doc__)
    parser.add_argument("--speech", type=Path, required=True, help="recordings, one utterance each")
    parser.add_argument("--counts", default=COUNTS, help="streams at once, one run after the other")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of sound in each stream")
    arguments = parser.parse_args()
    counts = [int(count) for count in arguments.counts.split(",")]
    for part in tables(arguments.speech, counts, arguments.seconds):
        print(part, end="", flush=True)


if __name__ == "__main__":
    main()
