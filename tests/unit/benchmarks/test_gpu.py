"""The script for one GPU, rehearsed on the CPU with tiny networks."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks import gpu
from benchmarks.gpu_parts import PARTS
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
    assert "| encode |  | not measured: no result within 90 s |" in text
    assert "| training |  | not measured: OutOfMemoryError: CUDA / 16 GiB |" in text
    assert "| CUDA tests | x | 1 ms |" in text
    assert "a rehearsal, no figure counts" in text


def test_the_script_starts_the_program() -> None:
    script = REPO / "benchmarks" / "gpu.sh"
    assert script.stat().st_mode & 0o111
    assert "-m benchmarks.gpu" in script.read_text(encoding="utf-8")
