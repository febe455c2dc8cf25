"""From the start of a program to what its user waits for: the page, a server that is ready, a result."""

from __future__ import annotations

import asyncio
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
from benchmarks.suite.speech import demo_recording, utterances
from benchmarks.suite.utterances_in_turn import delays
from emostream.streamer.audio.frontend import Samples
from emostream.streamer.bench.server_process import ServerProcess
from emostream.streamer.bench.workload import write_recording
from emostream.streamer.config import SAMPLE_RATE_HZ
from emostream.streamer.errors import ConnectError

REPEATS: Final = 5
_FRESH_SERVERS: Final = 3
_UTTERANCES: Final = 10
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
    yield from _first_utterances(setup.smoke)


def _first_utterances(smoke: bool) -> Iterator[Part]:
    """Whether the first client waits for what a server has left to do when it says that it is ready."""
    clip = utterances(demo_recording())[0]
    repeats = 1 if smoke else _FRESH_SERVERS
    rows = []
    for name, arguments in list(TRANSCRIBERS.items())[: 1 if smoke else None]:
        yield Progress(f"the first utterance, {name}")
        try:
            runs = [_utterance_delays(arguments, clip) for _ in range(repeats)]
        except (ConnectError, TimeoutError) as error:
            yield Failure(f"first utterance, {name}: {error}")
            continue
        medians = [1_000 * statistics.median(run[number] for run in runs) for number in (0, 1, -1)]
        ratio = statistics.median(run[0] / run[-1] for run in runs)
        rows.append([name, *(f"{one:.0f}" for one in medians), f"{ratio:.2f}"])
    yield (
        f"The same utterance of {len(clip) / SAMPLE_RATE_HZ:.1f} s {_UTTERANCES} times in one stream, the "
        "first as soon as a new server is ready; each is sent at once with the silence that ends it, so that "
        "none of the work is done while it comes. Milliseconds from there to its label, median of "
        f"{repeats} servers:\n\n"
    )
    head = ("transcriber", "first", "second", f"{_UTTERANCES}th", f"first : {_UTTERANCES}th")
    yield table(head, rows)


def _utterance_delays(arguments: Sequence[str], clip: Samples) -> list[float]:
    with ServerProcess(arguments) as server:
        return asyncio.run(delays(server.socket_url, clip, _UTTERANCES))


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
