"""What an open stream costs while nobody speaks, against a program that only receives the same messages."""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from websockets.asyncio.client import connect as connect_socket

from benchmarks.suite.parts import Figure, Part, Progress, Setup, table
from benchmarks.suite.process_tree import tree_usage
from benchmarks.suite.program import NO_WORDS
from emostream.streamer.bench.load_generator import BLOCK_SAMPLES
from emostream.streamer.bench.server_process import ServerProcess
from emostream.streamer.client import connect
from emostream.streamer.clock import Clock, WallClock
from emostream.streamer.config import SAMPLE_RATE_HZ
from emostream.streamer.errors import ConnectError
from emostream.streamer.protocol import messages

ROUNDS: Final = 3
SECONDS: Final = 30.0
_SETTLING_S: Final = 5.0  # what a start leaves to do is no cost of silence
_BLOCK: Final = bytes(2 * BLOCK_SAMPLES)
_BLOCK_S: Final = BLOCK_SAMPLES / SAMPLE_RATE_HZ
_RECEIVER: Final = """
import asyncio
from websockets.asyncio.server import serve

async def receive(socket):
    async for _ in socket:
        pass

async def main():
    async with serve(receive, "127.0.0.1", 0, compression=None) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()

asyncio.run(main())
"""


@dataclass(frozen=True, slots=True)
class Round:
    """Cores: of the server beyond what it takes idle, and of the bare receiver, both in the same seconds."""

    stream: float
    receipt: float


def measure(setup: Setup) -> Iterator[Part]:
    rounds_wanted, seconds = (1, 3.0) if setup.smoke else (ROUNDS, SECONDS)
    rounds = []
    with ServerProcess(NO_WORDS) as server, _receiver() as (receiver, port):
        time.sleep(0.5 if setup.smoke else _SETTLING_S)
        yield Progress("an idle server")
        idle = _idle(server.pid, seconds)
        for number in range(rounds_wanted):
            yield Progress(f"silence, round {number + 1} of {rounds_wanted}")
            rounds.append(asyncio.run(_round(server, receiver.pid, port, seconds, idle)))
    ratio = statistics.median(one.stream / one.receipt for one in rounds)
    yield (
        f"Ten messages a second of 100 ms of zeros, {rounds_wanted} rounds of {seconds:.0f} s, "
        "`--asr none`: one stream of emostream's client and, in the same seconds, the same messages to a "
        "program that only receives them with the same library. Processor time of either process; what "
        "the server takes without a "
        f"stream ({100 * idle:.2f} % of a core) is left out.\n\n"
    )
    yield table(
        ("round", "the stream, % of a core", "bare receipt, % of a core", "ratio"),
        [
            [
                str(number),
                f"{100 * one.stream:.2f}",
                f"{100 * one.receipt:.2f}",
                f"{one.stream / one.receipt:.2f}",
            ]
            for number, one in enumerate(rounds, 1)
        ],
    )
    yield Figure("silence", ratio)


def _idle(pid: int, seconds: float) -> float:
    began = tree_usage(pid).cpu_s
    time.sleep(seconds)
    return (tree_usage(pid).cpu_s - began) / seconds


async def _round(server: ServerProcess, receiver: int, port: int, seconds: float, idle: float) -> Round:
    clock = WallClock()
    before = tree_usage(server.pid).cpu_s, tree_usage(receiver).cpu_s
    await asyncio.gather(_stream(server.socket_url, clock, seconds), _send_bare(port, clock, seconds))
    spent = tree_usage(server.pid).cpu_s - before[0], tree_usage(receiver).cpu_s - before[1]
    return Round(spent[0] / seconds - idle, spent[1] / seconds)


async def _stream(url: str, clock: Clock, seconds: float) -> None:
    """Raises ConnectError where not all of it was received."""
    start = messages.Start(encoding="pcm_s16le", sample_rate=SAMPLE_RATE_HZ, channels=1)
    closed = None
    async with connect(url, start) as stream:
        async for event in stream.recognize(_blocks(clock, seconds)):
            closed = event if isinstance(event, messages.Closed) else closed
    if closed is None or closed.totals.audio_ms != round(1_000 * seconds):
        raise ConnectError(f"expected {seconds:.0f} s of silence to be received, got {closed}")


async def _send_bare(port: int, clock: Clock, seconds: float) -> None:
    async with connect_socket(f"ws://127.0.0.1:{port}", compression=None) as socket:
        async for block in _blocks(clock, seconds):
            await socket.send(block)


async def _blocks(clock: Clock, seconds: float) -> AsyncIterator[bytes]:
    """In real time."""
    began = clock.now()
    for number in range(round(seconds / _BLOCK_S)):
        await clock.sleep_until(began + (number + 1) * _BLOCK_S)
        yield _BLOCK


@contextmanager
def _receiver() -> Iterator[tuple[subprocess.Popen[str], int]]:
    """The bare receiver, and its port."""
    with subprocess.Popen([sys.executable, "-c", _RECEIVER], stdout=subprocess.PIPE, text=True) as receiver:
        assert receiver.stdout is not None
        try:
            yield receiver, int(receiver.stdout.readline())
        finally:
            receiver.kill()
