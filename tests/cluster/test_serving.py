"""`emostream serve --engine ray`: servers that share models in a real cluster of this machine."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import soundfile

from emostream.streamer.audio.decode import decode_file
from emostream.streamer.audio.frontend import Samples, to_int16
from emostream.streamer.bench.load_generator import StreamRun, run_streams
from emostream.streamer.clock import WallClock
from tests.support.programs import SELF_CONTAINED, TIMEOUT_S, Running, free_port, json_lines, run, running

pytest.importorskip("ray", reason="expected Ray, found none: pip install 'emostream[ray]'")

from tests.support.ray_nodes import cluster_of, workers
from tests.support.waiting import until

pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings("ignore::ResourceWarning")]

RECORDING = Path(str(files("emostream.demo") / "recording.ogg"))
PAUSES_S = (0.0, 3.8, 7.6, 11.4, 17.3, 21.5)
"""Without speech."""
REPLICA = "ServeReplica"


@dataclass(frozen=True)
class Front:
    """One server, its sessions and sockets; the models are elsewhere."""

    program: Running
    url: str

    @property
    def socket_url(self) -> str:
        return self.url.replace("http", "ws", 1) + "/v1/stream"

    def health(self) -> tuple[int, dict[str, Any]]:
        try:
            with urllib.request.urlopen(f"{self.url}/healthz") as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    def counter(self, name: str) -> float:
        with urllib.request.urlopen(f"{self.url}/metrics") as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.partition("{")[0].split()[0] == name)


def start(stack: ExitStack, address: str, *flags: str, asr: str = "none") -> Running:
    on_ray = ("--engine", "ray", "--ray-address", address)
    return stack.enter_context(
        running("serve", *on_ray, "--asr", asr, *SELF_CONTAINED, "--port", "0", *flags)
    )


def listening(program: Running) -> Front:
    return Front(program, program.wait_for(r"Listening on (\S+)")[1])


@pytest.fixture
def two_replicas(tmp_path: Path) -> str:
    """Settings with long timeouts, for slow machines."""
    settings = tmp_path / "two.toml"
    settings.write_text(
        "[cluster]\nmin_replicas = 2\nmax_replicas = 2\n[server]\nmax_load = 1.0\nmodel_timeout_ms = 60000\n"
    )
    return str(settings)


def assert_whole(found: StreamRun, alone: list[dict[str, Any]]) -> None:
    assert found.refused is None
    assert found.errors == []
    assert [one.event.utterance for one in found.finals] == [event["utterance"] for event in alone]
    for one, event in zip(found.finals, alone, strict=True):
        assert (one.event.start_ms, one.event.end_ms, one.event.label) == (
            event["start_ms"],
            event["end_ms"],
            event["label"],
        )
        assert one.event.text == event["text"]
        assert one.event.probabilities == pytest.approx(event["probabilities"], abs=1e-3)


async def test_no_final_is_lost_if_a_replica_dies_in_mid_utterance(
    two_replicas: str, tmp_path: Path, record_property: Any
) -> None:
    """Eight streams over two servers and two replicas, one of which is killed while it transcribes."""
    sound, file = sparse(), tmp_path / "sparse.wav"
    # As integers of ours, which are those on the wire: libsndfile scales by 32767, and in quiet recordings
    # another rounding moves probabilities in the third digit.
    soundfile.write(file, to_int16(sound), 16_000)
    done = run("replay", str(file), "--asr", "pocketsphinx", *SELF_CONTAINED)
    assert done.returncode == 0, done.stderr
    alone = [event for event in json_lines(done.stdout) if event["type"] == "emotion"]
    assert len(alone) == 5
    with cluster_of(1, 1) as cluster, ExitStack() as stack:
        programs = [
            start(stack, cluster.address, "--config", two_replicas, asr="pocketsphinx") for _ in range(2)
        ]
        fronts = [listening(program) for program in programs]
        streams = [
            asyncio.create_task(run_streams(front.socket_url, [sound] * 4, WallClock(), stagger_s=0.5))
            for front in fronts
        ]
        await until(lambda: sum(front.counter("emostream_finals_total") for front in fronts) >= 8)
        replicas = workers(cluster, REPLICA)
        assert len(replicas) == 2
        await until(lambda: is_transcribing(replicas[0]))
        replicas[0].kill()
        runs = [one for both in await asyncio.gather(*streams) for one in both]
        for one in runs:
            assert_whole(one, alone)
        assert sum(front.counter("emostream_lost_analyses_total") for front in fronts) >= 1
        slowest_s = max(final.after_end_s for one in runs for final in one.finals)
        record_property("slowest final behind its end, ms", round(1_000 * slowest_s))
        print(f"slowest final: {1_000 * slowest_s:.0f} ms behind its end")


def sparse() -> Samples:
    """The first five utterances of the recording, with three seconds more in the pauses between them."""
    spoken = decode_file(RECORDING)
    pause = np.zeros(3 * 16_000, np.float32)
    parts = [part for first, last in pairwise(PAUSES_S) for part in (spoken[at(first) : at(last)], pause)]
    return np.concatenate(parts)


def at(seconds: float) -> int:
    return int(seconds * 16_000)


def is_transcribing(replica: psutil.Process) -> bool:
    """Whether its transcriber, which has a process of its own, is at work."""
    return any(child.status() == psutil.STATUS_RUNNING for child in replica.children(recursive=True))


async def test_a_lost_cluster_is_reported_rejects_clients_and_may_return() -> None:
    """Clients with a session get an error for every utterance without a result."""
    sound, port = decode_file(RECORDING), free_port()
    with ExitStack() as stack:
        with cluster_of(1, port=port) as cluster:
            front = listening(start(stack, cluster.address))
            await until(lambda: front.health()[0] == 200)
            inside = asyncio.create_task(run_streams(front.socket_url, [sound], WallClock()))
            await until(lambda: front.counter("emostream_finals_total") >= 1)
        await until(lambda: front.health()[1]["status"] == "failing")
        status, health = front.health()
        assert status == 503
        assert any("no answer for" in line for line in health["problems"])
        (rejected,) = await run_streams(front.socket_url, [sound], WallClock())
        assert rejected.refused is not None
        assert "overloaded" in rejected.refused
        (one,) = await inside
        assert one.totals is not None
        assert len(one.finals) + len(one.errors) == 8
        assert all(error.startswith("analysis_failed") for error in one.errors)
        with cluster_of(1, port=port):
            await until(lambda: front.health()[0] == 200)
            (back,) = await run_streams(front.socket_url, [sound], WallClock())
            assert len(back.finals) == 8
            assert back.errors == []


async def test_replicas_are_added_under_load(tmp_path: Path) -> None:
    settings = tmp_path / "eager.toml"
    settings.write_text("[cluster]\nmin_replicas = 1\nmax_replicas = 2\ntarget_ongoing_requests = 0.002\n")
    sound = decode_file(RECORDING)
    with cluster_of(2) as cluster, ExitStack() as stack:
        front = listening(start(stack, cluster.address, "--config", str(settings)))
        assert len(workers(cluster, REPLICA)) == 1
        loads = [np.tile(sound, 4)] * 4
        streams = asyncio.create_task(run_streams(front.socket_url, loads, WallClock()))
        await until(lambda: len(workers(cluster, REPLICA)) == 2)
        streams.cancel()


async def test_servers_with_other_models_do_not_share(tmp_path: Path) -> None:
    with cluster_of(1) as cluster, ExitStack() as stack:
        listening(start(stack, cluster.address))
        other = run(
            "serve",
            "--engine",
            "ray",
            "--ray-address",
            cluster.address,
            "--asr",
            "pocketsphinx",
            "--port",
            "0",
        )
        assert other.returncode == 2
        assert "expected this server's models in the cluster as emostream, got others" in other.stderr


async def test_models_that_cannot_be_loaded_are_reported_in_one_line() -> None:
    with cluster_of(1) as cluster:
        done = run(
            *("serve", "--engine", "ray", "--ray-address", cluster.address, "--asr", "none", "--port", "0"),
            *("--checkpoint", "/nowhere"),
        )
        assert done.returncode == 2
        errors = [line for line in done.stderr.splitlines() if line.startswith("emostream: ")]
        assert len(errors) == 1
        assert "/nowhere" in errors[0]
        assert "Traceback" not in done.stderr


def test_a_missing_cluster_is_reported_in_one_line() -> None:
    done = run("serve", "--engine", "ray", "--ray-address", "127.0.0.1:1", "--asr", "none", "--port", "0")
    assert done.returncode == 2
    assert "expected a Ray cluster at 127.0.0.1:1" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_address_without_the_engine_is_rejected() -> None:
    done = run("serve", "--ray-address", "127.0.0.1:6379", "--asr", "none", "--port", "0")
    assert done.returncode == 2
    assert "expected --engine ray with --ray-address 127.0.0.1:6379, got local" in done.stderr


def test_ray_runs_without_usage_reports_and_without_a_dashboard() -> None:
    program = (
        "from emostream.streamer.cluster.ray_cluster import connect_to_ray\n"
        "with connect_to_ray('local'):\n"
        "    from ray._common.usage.usage_lib import usage_stats_enabled\n"
        "    from ray._private.worker import get_dashboard_url\n"
        "    print(usage_stats_enabled(), repr(get_dashboard_url()))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        env={name: value for name, value in os.environ.items() if name != "RAY_USAGE_STATS_ENABLED"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "False ''"
