"""Memory of a server that serves one stream."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Final

from benchmarks.suite.parts import Failure, Figure, Part, Progress, Setup, table
from benchmarks.suite.process_tree import tree_usage
from benchmarks.suite.program import TRANSCRIBERS
from benchmarks.suite.speech import described, speech_clips
from emostream.streamer.audio.frontend import Samples
from emostream.streamer.bench.load_generator import run_streams
from emostream.streamer.bench.server_process import ServerProcess
from emostream.streamer.bench.workload import make_workload
from emostream.streamer.clock import WallClock
from emostream.streamer.errors import ConnectError

SECONDS: Final = 20.0
_TARGETS: Final = {"no words": "memory, no words", "base": "memory, base"}


def measure(setup: Setup) -> Iterator[Part]:
    clips = speech_clips(setup.speech)
    seconds = 4.0 if setup.smoke else SECONDS
    load = make_workload(clips, seconds).samples
    yield (
        f"Proportional set size (PSS) of the server and its child processes, before and after "
        f"{seconds:.0f} s of speech in one stream: {described(setup.speech, clips)}.\n\n"
    )
    rows = []
    for name, arguments in TRANSCRIBERS.items():
        if setup.smoke and name != "no words":
            continue
        yield Progress(name)
        try:
            ready, serving = _memory(arguments, load)
        except ConnectError as error:
            yield Failure(f"{name}: {error}")
            continue
        rows.append([name, f"{ready:.0f}", f"{serving:.0f}"])
        if name in _TARGETS:
            yield Figure(_TARGETS[name], serving)
    yield table(("transcriber", "ready, MiB", "after serving, MiB"), rows)


def _memory(arguments: Sequence[str], load: Samples) -> tuple[float, float]:
    """MiB when it is ready, and with its stream just ended. Raises ConnectError where it does not start."""
    with ServerProcess(arguments) as server:
        ready = tree_usage(server.pid).memory_mib
        (run,) = asyncio.run(run_streams(server.socket_url, [load], WallClock()))
        if run.totals is None or not run.finals:
            raise ConnectError(run.refused or "expected results of the stream, got none")
        return ready, tree_usage(server.pid).memory_mib
