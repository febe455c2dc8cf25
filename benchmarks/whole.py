"""Whole runs: from a cold start to a ready server, and a recording replayed."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.resources import files

from benchmarks.stages import Row

PROGRAM = [sys.executable, "-m", "emostream.streamer.cli.main"]
REPEATS = 5


def rows() -> Iterator[Row]:
    for asr in ("none", "pocketsphinx"):
        yield _over(f"server, start to ready, --asr {asr}", [_start_to_ready(asr) for _ in range(REPEATS)])
    recording = str(files("emostream.demo") / "recording.ogg")
    for asr in ("none", "pocketsphinx"):
        yield _over(
            f"replay, sound per second of wall clock, --asr {asr}",
            [_replay_speed(recording, asr) for _ in range(REPEATS)],
            unit="x",
        )


def _start_to_ready(asr: str) -> float:
    began = time.perf_counter()
    with subprocess.Popen(
        [*PROGRAM, "serve", "--port", "0", "--asr", asr], stderr=subprocess.PIPE, text=True
    ) as server:
        assert server.stderr is not None
        for line in server.stderr:
            if "Listening on" in line:
                break
        took = time.perf_counter() - began
        server.terminate()
    return took


def _replay_speed(recording: str, asr: str) -> float:
    """First to last event of a replay: the models are loaded by then."""
    with subprocess.Popen(
        [*PROGRAM, "replay", recording, "--asr", asr],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as replay:
        assert replay.stdout is not None
        first = json.loads(replay.stdout.readline())
        began = time.perf_counter()
        for line in replay.stdout:
            event = json.loads(line)
            if event["type"] == "closed":
                # The models' loading and the process's end are not the replay's.
                took = time.perf_counter() - began
                return float(event["totals"]["audio_ms"] - first["start_ms"]) / 1_000 / took
    raise RuntimeError(f"expected `closed` as the last event of a replay of {recording}")


def _over(what: str, values: list[float], *, unit: str = "s") -> Row:
    return Row(what, unit, statistics.median(values), min(values), max(values))
