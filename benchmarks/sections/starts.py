"""From the start of a program to what its user waits for: the page, a server that is ready, a result."""

from __future__ import annotations

import statistics
import subprocess
import tempfile
import time
import urllib.error
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.request import urlopen

from benchmarks.suite.parts import Failure, Figure, Part, Progress, Setup, table
from benchmarks.suite.program import NO_WORDS, PROGRAM, TRANSCRIBERS, free_port, stop
from benchmarks.suite.speech import demo_recording
from emostream.streamer.bench.workload import write_recording

REPEATS: Final = 5
_REPLAYED_S: Final = 11
_GIVE_UP_S: Final = 60.0
_LOOK_EVERY_S: Final = 0.005


@dataclass(frozen=True, slots=True)
class Start:
    """Seconds from the start of `emostream serve`. page: until the page was there. ready: until `/healthz`
    said that it takes streams.
    """

    page: float
    ready: float


def measure(setup: Setup) -> Iterator[Part]:
    repeats = 1 if setup.smoke else REPEATS
    yield (
        f"Median of {repeats}, each a process of its own; the files are in the system's cache. "
        "No words: `--asr none` with the self-contained model.\n\n"
    )
    rows = []
    for key, name, arguments in _servers(setup.smoke):
        yield Progress(f"start of a server, {name}")
        try:
            starts = [_start(arguments) for _ in range(repeats)]
        except (ConnectionError, TimeoutError) as error:
            yield Failure(f"{name}: {error}")
            continue
        ready = [one.ready for one in starts]
        rows.append([f"`serve`, {name}: page", *_spread([one.page for one in starts])])
        rows.append([f"`serve`, {name}: ready", *_spread(ready)])
        yield Figure(key, statistics.median(ready))
    yield Progress("replay, the whole command")
    replays = list(_replays(repeats))
    rows.append([f"`replay` of {_REPLAYED_S} s, whole command, no words", *_spread(replays)])
    yield Figure("replay of 11 s", statistics.median(replays))
    yield table(("what", "median, s", "min", "max"), rows)


def _servers(smoke: bool) -> list[tuple[str, str, Sequence[str]]]:
    """Target, name, arguments."""
    servers: list[tuple[str, str, Sequence[str]]] = [
        ("ready, no words", "no words", NO_WORDS),
        ("ready, base", "Whisper base", TRANSCRIBERS["base"]),
    ]
    return servers[:1] if smoke else servers


def _start(arguments: Sequence[str]) -> Start:
    """Raises ConnectionError where the server ended, TimeoutError where it was not ready in time."""
    port = free_port()
    began = time.perf_counter()
    command = [*PROGRAM, "serve", "--port", str(port), *arguments]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    page: float | None = None
    try:
        while (taken := time.perf_counter() - began) < _GIVE_UP_S:
            if server.poll() is not None:
                assert server.stderr is not None
                raise ConnectionError(f"the server ended: {server.stderr.read().strip()[-300:]}")
            with suppress(urllib.error.URLError, ConnectionError, TimeoutError):
                if page is None:
                    with urlopen(f"http://127.0.0.1:{port}/", timeout=1.0) as response:
                        response.read()
                    page = time.perf_counter() - began
                with urlopen(f"http://127.0.0.1:{port}/healthz", timeout=1.0):
                    return Start(page, time.perf_counter() - began)
            time.sleep(_LOOK_EVERY_S)
        raise TimeoutError(f"the server was not ready after {taken:.0f} s")
    finally:
        stop(server)


def _replays(repeats: int) -> Iterator[float]:
    sound = demo_recording()[: _REPLAYED_S * 16_000]
    with tempfile.TemporaryDirectory() as folder:
        recording = write_recording(sound, Path(folder) / "recording.wav")
        command = [*PROGRAM, "replay", str(recording), *NO_WORDS]
        for _ in range(repeats):
            began = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            yield time.perf_counter() - began


def _spread(values: Sequence[float]) -> list[str]:
    return [f"{one:.2f}" for one in (statistics.median(values), min(values), max(values))]
