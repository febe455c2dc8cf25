"""`python -m benchmarks.cluster --speech FOLDER`: what Ray costs, one replica against the plain engine.

Same machine, same load, in one run, alternating, one thread for each model (`OMP_NUM_THREADS=1` is
to be set: a replica of one core has no more). The cluster is one node of this machine, so that nothing
crosses a network.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psutil

from emostream.models import Clip
from emostream.streamer.bench.load_generator import run_streams
from emostream.streamer.bench.server_process import ServerProcess
from emostream.streamer.bench.workload import make_workload, read_clips
from emostream.streamer.clock import WallClock
from emostream.streamer.cluster.ray_cluster import connect_to_ray
from emostream.streamer.cluster.serving.remote_engine import RemoteEngine
from emostream.streamer.config import ClusterSettings, ModelSettings, Settings
from emostream.streamer.inference.backend import InferenceBackend
from emostream.streamer.inference.load_models import load_engine
from emostream.streamer.inference.request import Priority

ROUNDS: Final = 5
ALONE: Final = 40
CALLERS: Final = 16
CONCURRENT_CALLS: Final = 240
STREAMS: Final = 8
STREAMS_S: Final = 60.0
_ONE: Final = ClusterSettings(max_replicas=1)


@dataclass(frozen=True, slots=True)
class Pair:
    """One measurement, with the models in the process and in one replica."""

    what: str
    unit: str
    plain: float
    ray: float

    def row(self) -> str:
        ratio = self.ray / self.plain
        return f"| {self.what} | {self.plain:.3g} | {self.ray:.3g} | {self.unit} | {ratio:.2f} |\n"


def tables(speech: Path) -> Iterator[str]:
    """Markdown. speech: a folder of recordings, each one utterance."""
    yield "| what | plain | Ray, one replica | unit | ratio |\n|---|---|---|---|---|\n"
    with _cluster() as address:
        for pair in asyncio.run(_calls(speech, address)):
            yield pair.row()
        for pair in _streams(speech, address):
            yield pair.row()
        for pair in _archive(speech, address):
            yield pair.row()


@contextmanager
def _cluster() -> Iterator[str]:
    """A node of its own. `ray start` would not prompt either, but leave it running."""
    with connect_to_ray("local"):
        import ray

        yield ray.get_runtime_context().gcs_address


async def _calls(speech: Path, address: str) -> list[Pair]:
    clips = [Clip(samples) for samples in read_clips([speech])]
    settings, clock = Settings(models=ModelSettings(asr="none"), cluster=_ONE), WallClock()
    near, far = load_engine(settings, clock), RemoteEngine(address, settings, clock)
    async with near.running(), far.running():
        alone = await _alternate(near, far, lambda engine: _alone(engine, clips))
        concurrent = await _alternate(near, far, lambda engine: _concurrent(engine, clips))
    return [
        Pair(f"one analysis, no other caller (median of {ALONE})", "ms", *(1_000 * one for one in alone)),
        Pair(f"analyses a second, {CALLERS} callers at once", "1/s", *concurrent),
    ]


async def _alternate(
    near: InferenceBackend, far: InferenceBackend, measure: Callable[[InferenceBackend], Awaitable[float]]
) -> tuple[float, float]:
    found: tuple[list[float], list[float]] = ([], [])
    await asyncio.gather(measure(near), measure(far))  # warm
    for _ in range(ROUNDS):
        found[0].append(await measure(near))
        found[1].append(await measure(far))
    return statistics.median(found[0]), statistics.median(found[1])


async def _alone(engine: InferenceBackend, clips: Sequence[Clip]) -> float:
    took = []
    for clip in clips[:ALONE]:
        began = time.perf_counter()
        await engine.analyse(clip, engine.new_request(Priority.FINAL))
        took.append(time.perf_counter() - began)
    return statistics.median(took)


async def _concurrent(engine: InferenceBackend, clips: Sequence[Clip]) -> float:
    waiting = iter([clips[number % len(clips)] for number in range(CONCURRENT_CALLS)])

    async def call() -> None:
        for clip in waiting:
            await engine.analyse(clip, engine.new_request(Priority.FINAL))

    began = time.perf_counter()
    await asyncio.gather(*(call() for _ in range(CALLERS)))
    return CONCURRENT_CALLS / (time.perf_counter() - began)


def _streams(speech: Path, address: str) -> list[Pair]:
    clips = read_clips([speech])
    loads = [make_workload(clips, STREAMS_S, stream=number).samples for number in range(STREAMS)]
    plain = _served(["--asr", "none"], loads)
    ray = _served(["--asr", "none", "--engine", "ray", "--ray-address", address], loads)
    what = f"{STREAMS} streams, {STREAMS_S:.0f} s"
    return [
        Pair(f"{what}: decision to event, p50", "ms", plain.p50_ms, ray.p50_ms),
        Pair(f"{what}: decision to event, p95", "ms", plain.p95_ms, ray.p95_ms),
        Pair(f"{what}: processor, server and gateway", "% of a core", 100 * plain.cores, 100 * ray.cores),
        Pair(
            f"{what}: processor, those and Ray's processes",
            "% of a core",
            100 * plain.cores,
            100 * (ray.cores + ray.ray_cores),
        ),
    ]


@dataclass(frozen=True, slots=True)
class _Served:
    p50_ms: float
    p95_ms: float
    cores: float
    ray_cores: float


def _served(arguments: Sequence[str], loads: Sequence[Any]) -> _Served:
    with ServerProcess(arguments) as server:
        asyncio.run(run_streams(server.socket_url, [loads[0][: 5 * 16_000]], WallClock()))  # warm
        began, before, ray_before = time.perf_counter(), server.usage().cpu_s, _ray_cpu_s()
        runs = asyncio.run(run_streams(server.socket_url, loads, WallClock()))
        took = time.perf_counter() - began
        cores = (server.usage().cpu_s - before) / took
        ray_cores = (_ray_cpu_s() - ray_before) / took
    assert not [run.refused or run.errors for run in runs if run.refused or run.errors]
    after = sorted(1_000 * final.after_end_s for run in runs for final in run.finals)
    return _Served(after[len(after) // 2], after[int(0.95 * len(after))], cores, ray_cores)


def _ray_cpu_s() -> float:
    """Of all of Ray's processes below this one: nodes, controllers, replicas."""
    spent = 0.0
    for process in psutil.Process().children(recursive=True):
        try:
            line = " ".join(process.cmdline())
            if line.startswith("ray::") or "/ray/" in line:
                times = process.cpu_times()
                spent += times.user + times.system
        except psutil.Error:
            continue  # it has just ended
    return spent


def _archive(speech: Path, address: str) -> list[Pair]:
    """Files a second, from the moment the models are there."""
    files = len([path for path in speech.iterdir() if path.is_file()])
    found: tuple[list[float], list[float]] = ([], [])
    for _ in range(3):
        arguments = [str(speech), "--jobs", "2", "--asr", "none"]
        found[0].append(files / _run_seconds(["replay", *arguments], r"^Transcription:"))
        on_ray = ["batch", *arguments, "--address", address, "--workers", "1"]
        found[1].append(files / _run_seconds(on_ray, r"^Ray: "))
    plain, ray = (statistics.median(one) for one in found)
    return [
        Pair(
            f"archive: {files} recordings, --jobs 2; Ray with the loading of its models, plain without",
            "recordings/s",
            plain,
            ray,
        )
    ]


def _run_seconds(arguments: Sequence[str], begun: str) -> float:
    """Seconds from the line of standard error in which the pattern is found to the end."""
    program = [sys.executable, "-m", "emostream.streamer.cli.main", *arguments]
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(
            [*program, "--output-dir", str(Path(folder, "out"))], stderr=subprocess.PIPE, text=True
        ) as running,
    ):
        assert running.stderr is not None
        began = None
        for line in running.stderr:
            if began is None and re.search(begun, line):
                began = time.perf_counter()
        ended = time.perf_counter()
    assert began is not None
    return ended - began


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cluster", description=__doc__)
    parser.add_argument(
        "--speech", type=Path, required=True, help="a folder of recordings, one utterance each"
    )
    for part in tables(parser.parse_args().speech):
        print(part, end="", flush=True)


if __name__ == "__main__":
    main()
