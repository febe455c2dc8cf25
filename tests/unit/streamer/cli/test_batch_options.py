"""The options of `emostream batch`: wrong ones are refused in a line, workers get what they can load."""

from __future__ import annotations

from pathlib import Path

import pytest

from emostream.streamer.cli.batch_options import WorkerOptions
from emostream.streamer.config import ModelSettings
from tests.support.programs import run_here


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--address ray://head:10001", "expected HOST:PORT of a cluster that this machine is part of"),
        ("--cpus-per-worker 0", "a share of a CPU or of a GPU"),
        ("--cpus-per-worker 0.00001", "a multiple of 0.0001 with --cpus-per-worker, got 1e-05"),
        ("--gpus-per-worker 1.5", "whole GPUs or a share of one"),
        ("--gpus-per-worker 1 --device cpu", "got --device cpu; leave one out"),
    ],
)
def test_invalid_combinations_are_rejected_in_one_line(options: str, message: str) -> None:
    done = run_here("batch", "in.wav", "--output-dir", "o", *options.split())
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("emostream: ")
    assert message in line


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ("in.wav", "--output-dir"),
        ("--output-dir o", "INPUTS"),
        ("in.wav --output-dir o --format csv", "expected jsonl, parquet for --format, got 'csv'"),
        ("in.wav --output-dir o --workers 0", "--workers"),
        ("in.wav --output-dir o --pace realtime", "--pace"),
    ],
)
def test_the_parser_names_what_is_missing_or_wrong(arguments: str, named: str) -> None:
    done = run_here("batch", *arguments.split())
    assert done.returncode == 2
    assert named in done.stderr


@pytest.mark.parametrize(
    ("arguments", "uri"),
    [("s3://bucket/in", "s3://bucket/in"), ("in.wav --output-dir s3://bucket/out", "s3://bucket/out")],
)
def test_replay_refuses_addresses_and_names_the_command_that_takes_them(arguments: str, uri: str) -> None:
    done = run_here("replay", *arguments.split())
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line == (
        f"emostream: expected files or folders of this machine, got {uri}; use emostream batch for it"
    )


@pytest.mark.parametrize(
    ("gpus", "given", "device"),
    [(0, "auto", "cpu"), (0, "cuda", "cuda"), (0.5, "auto", "auto"), (1, "cuda", "cuda")],
)
def test_a_worker_uses_no_gpu_that_it_was_not_given(gpus: float, given: str, device: str) -> None:
    models = ModelSettings(device=given)  # type: ignore[arg-type]  # one of them
    assert WorkerOptions(gpus=gpus).worker_models(models).device == device


def test_folders_of_models_are_absolute_for_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    loaded = WorkerOptions().worker_models(ModelSettings(asr="mine", checkpoint="./mine"))
    assert (loaded.asr, loaded.checkpoint) == (f"{tmp_path}/mine", f"{tmp_path}/mine")
    loaded = WorkerOptions().worker_models(ModelSettings(asr="tiny.en", checkpoint="someone/model"))
    assert (loaded.asr, loaded.checkpoint) == ("tiny.en", "someone/model")
