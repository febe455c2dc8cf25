"""The script for one GPU: a dry run on the CPU with tiny networks, and the search for the most streams."""

from __future__ import annotations

import asyncio
import math
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks import gpu
from benchmarks.gpu_parts import PARTS
from benchmarks.gpu_streams import StreamLoad, most_streams
from tests.support.shared import REPO
from tests.support.training_task import fresh_accelerator, one_thread


@pytest.fixture(autouse=True)
def _one_thread_and_no_accelerator() -> Iterator[None]:
    with one_thread(), fresh_accelerator():
        yield


def test_all_parts_together_take_at_most_eight_minutes() -> None:
    assert sum(part.limit_s for part in PARTS.values()) <= 480


@pytest.mark.parametrize("name", ["encode", "whole utterance"])
def test_inference_is_measured_by_batch(name: str) -> None:
    rows = PARTS[name].measure("cpu", True)
    assert [row[1].split(", ")[1] for row in rows] == ["batch 1", "batch 2"]
    assert all("ms an utterance" in row[2] and "% of peak" in row[2] for row in rows)


@pytest.mark.parametrize(
    ("limit", "first", "carried"),
    [
        (100, 20, (80, 100)),  # 20, 40, 80, 160; then 120 and 100, which is too many
        (100, 400, (87, 100)),  # halved first: 400, 200, 100, 50; then 75 and 87
        (1, 8, (0, 1)),
        (2, 1, (1, 2)),
        (5_000, 300, (1_000, None)),  # no more than that are tried
    ],
)
async def test_the_most_streams_are_between_two_that_were_tried(
    limit: int, first: int, carried: tuple[int, int | None]
) -> None:
    """With `limit` streams and more, p95 is over its limit."""
    tried: list[int] = []

    async def p95_s(streams: int) -> float:
        tried.append(streams)
        return 0.01 if streams < limit else math.inf

    found = await most_streams(p95_s, first, most=1_000)
    assert (found.streams, found.too_many) == carried
    assert len(tried) == len(set(tried)) <= 7


class ImpatientClock:
    """Jumps to the moment that is waited for; what is ready runs in between."""

    def __init__(self) -> None:
        self.moment = 0.0

    def now(self) -> float:
        return self.moment

    async def sleep_until(self, moment: float) -> None:
        for _ in range(5):
            await asyncio.sleep(0)
        self.moment = max(self.moment, moment)


async def test_utterances_without_a_result_in_time_count_as_endless() -> None:
    """Of 40 streams two are one in twenty, and four are more."""
    seen: list[int] = []

    def answers(never: set[int]) -> Callable[[int], Awaitable[None]]:
        async def analyse(stream: int) -> None:
            seen.append(stream)
            if stream in never:
                await asyncio.Event().wait()

        return analyse

    assert await StreamLoad(answers(set()), ImpatientClock()).p95_s(40) == 0.0
    assert sorted(seen) == [0, *range(40)]
    assert await StreamLoad(answers({7}), ImpatientClock()).p95_s(40) == 0.0
    assert math.isinf(await StreamLoad(answers({7, 8, 9, 10}), ImpatientClock()).p95_s(40))


def test_streams_are_measured_through_the_engine() -> None:
    [(part, what, measured)] = PARTS["streams"].measure("cpu", True)
    assert part == "streams"
    assert "every 8 s a stream, p95 of an analysis under 300 ms" in what
    assert measured.split(" streams, p95 ")[0] in ("0", "1", "2")
    assert measured.endswith(", float32")


@pytest.mark.long
def test_three_ways_of_training_are_measured() -> None:
    rows = PARTS["training"].measure("cpu", True)
    assert [row[1] for row in rows] == ["frozen encoders", "LoRA, rank 8", "full fine-tuning"]
    assert all("steps/s of 16 padded seconds" in row[2] for row in rows)


def test_a_part_that_fails_or_is_too_slow_is_a_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        part = command[command.index("--part") + 1]
        if part == "encode":
            raise subprocess.TimeoutExpired(command, options["timeout"])
        if part == "training":
            return subprocess.CompletedProcess(command, 1, "", "Traceback\nOutOfMemoryError: CUDA | 16 GiB")
        return subprocess.CompletedProcess(command, 0, f'note\n[["{part}", "x", "1 ms"]]\n', "")

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(gpu, "commit", lambda: "abc")
    gpu.main(["--device", "cpu", "--tiny", "--output", str(tmp_path / "gpu.md")])
    text = (tmp_path / "gpu.md").read_text(encoding="utf-8")
    assert text.strip() == capsys.readouterr().out.strip()
    assert "| encode |  | not measured: no result within 60 s |" in text
    assert "| training |  | not measured: OutOfMemoryError: CUDA / 16 GiB |" in text
    assert "| CUDA tests | x | 1 ms |" in text
    assert "dry run with tiny networks: no figure is a measurement" in text


def test_the_script_starts_the_program() -> None:
    script = REPO / "benchmarks" / "gpu.sh"
    assert script.stat().st_mode & 0o111
    assert "-m benchmarks.gpu" in script.read_text(encoding="utf-8")
