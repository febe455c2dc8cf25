"""A server under load: figures of one that answers, a reason for one that does not, no process left."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import psutil
import pytest
from websockets.asyncio.client import connect

from benchmarks.peers import measure as measuring
from benchmarks.peers.clients import Client, FinalText, Go
from benchmarks.peers.measure import Load, PeerFailedError, measure
from benchmarks.peers.peer import Peer
from emostream.streamer.audio.frontend import Samples
from emostream.streamer.bench.workload import Workload

LISTENING = """
import socket, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("only", child.pid, flush=True)
while True:
    server.accept()[0].close()
"""
SOUND = np.zeros(16_000, np.float32)
LOAD = Load("tiny.en", Path("weights"), [Workload(SOUND, ((1_600, 8_000),)), Workload(SOUND, ((0, 16_000),))])


def peer_of(program: str, client: Client) -> Peer:
    def command(python: str, port: int, model: Path) -> Sequence[str]:
        return [python, "-c", program, str(port), str(model)]

    return Peer("Any", (), (), 0.5, "any text", command, "/", client)


async def test_delays_of_all_clients_who_begin_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "_STAGGER_S", 0.0)
    monkeypatch.setattr(measuring, "_LOOK_EVERY_S", 0.001)
    ready = 0

    async def client(url: str, sound: Samples, go: Go) -> list[FinalText]:
        nonlocal ready
        ready += 1
        await go()
        assert ready == len(LOAD.workloads)
        await asyncio.sleep(0.05)
        return [FinalText(1.0, 0.5, "words")]

    row = await measure(peer_of(LISTENING, client), sys.executable, LOAD)
    assert row.delays is not None
    assert row.delays.seconds == pytest.approx((0.5,))
    assert (row.delays.none, row.clients, row.reason) == (1, 2, "")
    assert row.memory_mib > 1.0


async def test_a_server_that_ends_is_explained_by_its_last_line() -> None:
    program = "print('loading'); raise SystemExit('no such model')"
    with pytest.raises(PeerFailedError, match="Any's server ended: no such model"):
        await measure(peer_of(program, no_client), sys.executable, LOAD)


async def no_client(url: str, sound: Samples, go: Go) -> list[FinalText]:
    raise AssertionError("never called")


async def test_a_connection_that_fails_is_one_line_and_leaves_no_process() -> None:
    async def client(url: str, sound: Samples, go: Go) -> list[FinalText]:
        async with connect(url):
            raise AssertionError("never open")

    with pytest.raises(PeerFailedError, match=r": only \d+$") as failed:
        await measure(peer_of(LISTENING, client), sys.executable, LOAD)
    assert not psutil.pid_exists(int(str(failed.value).split()[-1]))
