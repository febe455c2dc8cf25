"""emostream beside servers that transcribe streams, with the same model and the same sound; writes peers.md.

Each peer is installed into an environment of its own at its first run, with pip's own settings: without a GPU
set PIP_EXTRA_INDEX_URL to PyTorch's index of CPU builds before, or torch is gigabytes. RealtimeSTT needs
PortAudio's headers (Debian: `portaudio19-dev`). Rows of peers.md stay until they are measured again.
"""

from __future__ import annotations

import argparse
import asyncio
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.request import urlopen

from benchmarks.machine import stamp
from benchmarks.peers.delay import Delays, delays, together
from benchmarks.peers.environment import NotInstalledError, default_folder, python_of
from benchmarks.peers.page import HEAD, MODELS, MeasuredRow, page
from benchmarks.peers.peer import PEERS, Peer
from benchmarks.suite.parts import table
from benchmarks.suite.process_tree import TreeUsage, tree_usage
from benchmarks.suite.program import free_port
from benchmarks.suite.speech import speech_clips
from emostream.models.transcription.factory import local_copies
from emostream.streamer.bench.workload import Workload, make_workload
from emostream.streamer.config import SAMPLE_RATE_HZ

RESULTS: Final = Path(__file__).resolve().parents[1] / "peers.md"
_START_S: Final = 120.0
_LOOK_EVERY_S: Final = 0.5
_STAGGER_S: Final = 0.37


class PeerFailedError(Exception):
    """Why a peer was not measured, in one line."""


@dataclass(frozen=True, slots=True)
class Load:
    """What is sent: a Whisper model and its folder, and the sound of each client."""

    model: str
    folder: Path
    workloads: Sequence[Workload]


def main() -> None:
    options = _parse()
    clips = speech_clips(options.speech)
    rows: list[MeasuredRow] = []
    for model in options.models:
        copy = next(local_copies(model, print), None)
        if copy is None:
            raise SystemExit(
                f"expected Whisper {model} on this machine, found none; install emostream[whisper]"
            )
        for name in options.peers:
            for clients in options.clients:
                loads = [make_workload(clips, options.seconds, stream=stream) for stream in range(clients)]
                load = Load(model, copy.folder, loads)
                print(f"{name}, Whisper {model}, clients: {clients}", file=sys.stderr, flush=True)
                rows.append(_row(PEERS[name], load, options))
                print(table(HEAD, [rows[-1].cells()]), file=sys.stderr, flush=True)
                if options.write:
                    _write(rows, options.seconds)
    print(table(HEAD, [row.cells() for row in rows]))


def _write(rows: Sequence[MeasuredRow], seconds: float) -> None:
    """After each measurement, so that none is lost where a later one is interrupted."""
    before = RESULTS.read_text(encoding="utf-8") if RESULTS.exists() else ""
    RESULTS.write_text(page(rows, seconds, stamp(), before), encoding="utf-8")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("--peers", nargs="+", choices=tuple(PEERS), default=list(PEERS), metavar="NAME")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--clients", type=_counts, default=[1, 2, 4, 8], metavar="N,N,...")
    parser.add_argument("--seconds", type=float, default=60.0, help="of sound for each client")
    parser.add_argument("--speech", type=Path, metavar="FOLDER", help="recordings of one utterance each")
    parser.add_argument("--environments", type=Path, default=default_folder(), metavar="FOLDER")
    parser.add_argument("--python", default=sys.executable, help="makes the peers' environments")
    parser.add_argument("--no-write", dest="write", action="store_false", help="only print the rows")
    return parser.parse_args()


def _counts(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def _row(peer: Peer, load: Load, options: argparse.Namespace) -> MeasuredRow:
    try:
        python = python_of(peer, options.environments, options.python)
        return asyncio.run(_measure(peer, python, load))
    except (NotInstalledError, PeerFailedError, TimeoutError, OSError) as error:
        return MeasuredRow(peer, load.model, len(load.workloads), reason=str(error) or type(error).__name__)


async def _measure(peer: Peer, python: str, load: Load) -> MeasuredRow:
    """Raises PeerFailedError."""
    port = free_port()
    with _server(peer.command(python, port, load.folder)) as server:
        await _listening(server, port, peer)
        url = f"ws://127.0.0.1:{port}{peer.path}"
        watch = _Watch(server.pid)
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(watch.run(), name="memory and processor")
            clients = [
                tasks.create_task(_client(peer, url, workload, number * _STAGGER_S), name=f"client {number}")
                for number, workload in enumerate(load.workloads)
            ]
            found = [await client for client in clients]
            watching.cancel()
    total = together(found)
    return MeasuredRow(peer, load.model, len(load.workloads), total, watch.cores, watch.memory_mib)


async def _client(peer: Peer, url: str, workload: Workload, after_s: float) -> Delays:
    await asyncio.sleep(after_s)
    finals = await peer.client(url, workload.samples)
    spans = [(start / SAMPLE_RATE_HZ, end / SAMPLE_RATE_HZ) for start, end in workload.spans]
    return delays(spans, finals)


class _Watch:
    """Of a process tree while it serves. memory_mib: the median. cores: processor time by wall clock."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._seen: list[tuple[float, TreeUsage]] = []

    async def run(self) -> None:
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
            server.terminate()
            try:
                server.wait(10.0)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


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


if __name__ == "__main__":
    main()
