"""Streams against a real server over loopback: `emostream bench`, the cost of silence, what hours leave."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import psutil
from websockets.asyncio.client import connect

from emostream.streamer.audio.frontend import Samples
from emostream.streamer.bench.load_generator import BLOCK_SAMPLES, run_streams
from emostream.streamer.bench.server_process import ServerProcess
from emostream.streamer.bench.workload import make_workload, read_clips
from emostream.streamer.clock import WallClock
from emostream.streamer.config import SAMPLE_RATE_HZ

LATENCY_S: Final = 150
STREAMS_S: Final = 60
SILENCE_S: Final = 60.0
_SETTLING_S: Final = 10.0  # what a start leaves to do is no cost of silence
HOURS: Final = 4
COUNTS: Final = {"none": "1,16,32", "pocketsphinx": "1,2,4"}
WORDS_COUNTS: Final = "1,4"
_AS_FAST_AS_IT_GOES: Final = 1e6
_LOOK_EVERY_S: Final = 2.0


def tables(speech: Path, whisper: str | None) -> Iterator[str]:
    """Markdown. speech: a folder of recordings, each one utterance."""
    transcribers = ["none", "pocketsphinx", *([] if whisper is None else [whisper])]
    for asr in transcribers:
        counts = COUNTS.get(asr, WORDS_COUNTS)
        commands = (
            ("latency", "--seconds", str(LATENCY_S)),
            ("streams", "--seconds", str(STREAMS_S), "--counts", counts),
            ("replay", "--seconds", str(LATENCY_S)),
        )
        for command in commands:
            model = Path(asr).name
            yield f"`emostream bench {' '.join(command)} --asr {model} --speech ...`:\n\n"
            yield _bench(*command, "--asr", asr, "--speech", str(speech)) + "\n"
    share, bare = 100 * silence(), 100 * bare_receiver()
    yield (
        f"- a silent open stream, --asr none: {share:.2f} % of a core (100 ms blocks, {SILENCE_S:.0f} s); "
        f"a program that only receives the same messages with the same library: {bare:.2f} %\n"
    )
    found = endurance(speech)
    yield (
        f"- {HOURS} hours of speech in one stream, --asr none, at {found.speed:.0f} x real time: "
        f"{found.utterances} utterances, {found.dropped_ms} ms dropped; memory after ten minutes "
        f"{found.early_mib:.0f} MiB, at the end {found.late_mib:.0f} MiB ({100 * found.growth:+.1f} %)\n"
    )


def _bench(*arguments: str) -> str:
    program = [sys.executable, "-m", "emostream.streamer.cli.main", "bench", *arguments]
    return subprocess.run(program, check=True, stdout=subprocess.PIPE, text=True).stdout


def silence() -> float:
    """Cores that one silent stream costs beside an idle server."""
    with ServerProcess(["--asr", "none"]) as server:
        time.sleep(_SETTLING_S)
        began = server.usage().cpu_s
        time.sleep(SILENCE_S)
        idle_s = server.usage().cpu_s - began
        quiet = np.zeros(int(SILENCE_S * SAMPLE_RATE_HZ), np.float32)
        began = server.usage().cpu_s
        (run,) = asyncio.run(run_streams(server.socket_url, [quiet], WallClock()))
        assert run.totals is not None, run.refused
        assert run.totals.audio_ms == SILENCE_S * 1_000, run.errors
        return (server.usage().cpu_s - began - idle_s) / SILENCE_S


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


def bare_receiver() -> float:
    """Cores that the messages of a silent stream cost without a subscriber."""
    block = bytes(2 * BLOCK_SAMPLES)

    async def send(port: int) -> None:
        clock = WallClock()
        async with connect(f"ws://127.0.0.1:{port}", compression=None) as socket:
            began = clock.now()
            for sent in range(round(SILENCE_S * SAMPLE_RATE_HZ / BLOCK_SAMPLES)):
                await clock.sleep_until(began + (sent + 1) * BLOCK_SAMPLES / SAMPLE_RATE_HZ)
                await socket.send(block)

    with subprocess.Popen([sys.executable, "-c", _RECEIVER], stdout=subprocess.PIPE, text=True) as receiver:
        assert receiver.stdout is not None
        port = int(receiver.stdout.readline())
        before = psutil.Process(receiver.pid).cpu_times()
        asyncio.run(send(port))
        after = psutil.Process(receiver.pid).cpu_times()
        receiver.kill()
    spent: float = after.user + after.system - before.user - before.system
    return spent / SILENCE_S


@dataclass(frozen=True, slots=True)
class Endurance:
    """early_mib: after ten minutes of sound. late_mib: at its end. speed: in multiples of real time."""

    utterances: int
    dropped_ms: int
    early_mib: float
    late_mib: float
    speed: float

    @property
    def growth(self) -> float:
        return self.late_mib / self.early_mib - 1.0


def endurance(speech: Path) -> Endurance:
    """Hours of sound in one stream, as fast as the server takes it."""
    sound = make_workload(read_clips([speech]), HOURS * 3_600.0).samples
    with ServerProcess(["--asr", "none"]) as server:
        return asyncio.run(_endure(server, sound))


async def _endure(server: ServerProcess, sound: Samples) -> Endurance:
    began = time.perf_counter()
    running = asyncio.create_task(
        run_streams(server.socket_url, [sound], WallClock(), pace=_AS_FAST_AS_IT_GOES), name="stream"
    )
    seen: list[tuple[float, float]] = []  # seconds of sound, MiB
    while not running.done():
        await asyncio.wait({running}, timeout=_LOOK_EVERY_S)
        counters = await asyncio.to_thread(server.counters)
        seen.append((counters["emostream_audio_seconds_total", ()], server.usage().rss_bytes / 2**20))
    took = time.perf_counter() - began
    (run,) = running.result()
    assert run.totals is not None
    return Endurance(
        utterances=run.totals.utterances,
        dropped_ms=run.totals.dropped_ms,
        early_mib=_first_after(seen, 600.0),
        late_mib=seen[-1][1],
        speed=len(sound) / SAMPLE_RATE_HZ / took,
    )


def _first_after(seen: Sequence[tuple[float, float]], seconds: float) -> float:
    return next(memory for audio_s, memory in seen if audio_s >= seconds)
