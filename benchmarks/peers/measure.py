"""One server under load: started, listened to, watched and ended."""

from __future__ import annotations

import asyncio
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.request import urlopen

import psutil
from websockets.exceptions import WebSocketException

from benchmarks.peers.delay import Delays, delays, together
from benchmarks.peers.page import MeasuredRow
from benchmarks.peers.peer import Peer
from benchmarks.suite.process_tree import TreeUsage, tree_usage
from benchmarks.suite.program import free_port
from emostream.streamer.bench.workload import Workload
from emostream.streamer.config import SAMPLE_RATE_HZ
from emostream.streamer.errors import ConnectError

_START_S: Final = 120.0
_END_S: Final = 10.0
_LOOK_EVERY_S: Final = 0.5
_STAGGER_S: Final = 0.37
_SPARE_S: Final = 180.0
_FAILURES: Final = (
    OSError,
    TimeoutError,
    WebSocketException,
    ConnectError,
    psutil.NoSuchProcess,
    ValueError,  # these two: a peer's message of another form than expected
    LookupError,
)


class PeerFailedError(Exception):
    """Why a peer was not measured, in one line."""


@dataclass(frozen=True, slots=True)
class Load:
    """What is sent: a Whisper model and its folder, and the sound of each client."""

    model: str
    folder: Path
    workloads: Sequence[Workload]


async def measure(peer: Peer, python: str, load: Load) -> MeasuredRow:
    """Raises PeerFailedError."""
    port = free_port()
    with _server(peer.command(python, port, load.folder)) as server:
        await _listening(server, port, peer)
        url = f"ws://127.0.0.1:{port}{peer.path}"
        watch = _Watch(server.pid)
        all_ready = asyncio.Barrier(len(load.workloads) + 1)
        try:
            async with asyncio.timeout(_longest_s(load) + _SPARE_S), asyncio.TaskGroup() as tasks:
                watching = tasks.create_task(watch.run(all_ready), name="memory and processor")
                clients = [
                    tasks.create_task(_client(peer, url, load, number, all_ready), name=f"client {number}")
                    for number in range(len(load.workloads))
                ]
                found = [await client for client in clients]
                watching.cancel()
        except* _FAILURES as group:
            first = next(_leaves(group))
            raise PeerFailedError(f"{type(first).__name__}: {first}".removesuffix(": ")) from first
    total = together(found)
    return MeasuredRow(peer, load.model, len(load.workloads), total, watch.cores, watch.memory_mib)


def _longest_s(load: Load) -> float:
    return max(len(workload.samples) for workload in load.workloads) / SAMPLE_RATE_HZ


async def _client(peer: Peer, url: str, load: Load, number: int, all_ready: asyncio.Barrier) -> Delays:
    async def go() -> None:
        await all_ready.wait()
        await asyncio.sleep(number * _STAGGER_S)

    workload = load.workloads[number]
    finals = await peer.client(url, workload.samples, go)
    spans = [(start / SAMPLE_RATE_HZ, end / SAMPLE_RATE_HZ) for start, end in workload.spans]
    return delays(spans, finals)


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


class _Watch:
    """Of a process tree while it serves. memory_mib: the median. cores: processor time by wall clock."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._seen: list[tuple[float, TreeUsage]] = []

    async def run(self, all_ready: asyncio.Barrier) -> None:
        await all_ready.wait()
        while True:
            usage = await asyncio.to_thread(tree_usage, self._pid)
            self._seen.append((time.monotonic(), usage))
            await asyncio.sleep(_LOOK_EVERY_S)

    @property
    def cores(self) -> float:
        (began, first), (ended, last) = self._seen[0], self._seen[-1]
        return (last.cpu_s - first.cpu_s) / (ended - began)

    @property
    def memory_mib(self) -> float:
        return statistics.median(usage.memory_mib for _, usage in self._seen)


@contextmanager
def _server(command: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    """Its output goes to a file, whose end explains a failure."""
    with tempfile.TemporaryFile() as output:
        server = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        try:
            yield server
        except PeerFailedError as error:
            output.seek(0)
            lines = output.read().decode(errors="replace").strip().splitlines() or ["no output"]
            raise PeerFailedError(f"{error}: {lines[-1][:200]}") from error
        finally:
            _end(server)


def _end(server: subprocess.Popen[bytes]) -> None:
    """With the processes that it started, which not each server ends itself."""
    tree = psutil.Process(server.pid).children(recursive=True) if server.poll() is None else []
    server.terminate()
    try:
        server.wait(_END_S)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
    for process in tree:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(tree, timeout=_END_S)


def _takes_streams(port: int, peer: Peer) -> bool:
    """By its own page for that, else once its port is open."""
    try:
        if peer.health:
            with urlopen(f"http://127.0.0.1:{port}{peer.health}", timeout=2.0):
                return True
        with socket.create_connection(("127.0.0.1", port), timeout=2.0):
            return True
    except OSError:  # urllib's errors are of this kind
        return False


async def _listening(server: subprocess.Popen[bytes], port: int, peer: Peer) -> None:
    """Raises PeerFailedError where the server ends, or does not listen in time."""
    end = time.monotonic() + _START_S
    while time.monotonic() < end:
        if server.poll() is not None:
            raise PeerFailedError(f"{peer.name}'s server ended")
        if await asyncio.to_thread(_takes_streams, port, peer):
            return
        await asyncio.sleep(0.2)
    raise PeerFailedError(f"{peer.name}'s server did not listen within {_START_S:.0f} s")
