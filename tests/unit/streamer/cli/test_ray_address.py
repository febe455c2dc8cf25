"""`--ray` on the command line: with an address behind it, or alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from emostream.streamer.cli.batch_options import RayFlags
from emostream.streamer.cli.ray_address import with_address
from emostream.streamer.config import ModelSettings
from tests.support.programs import run


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("--ray in --output-dir o", "--ray=auto in --output-dir o"),
        ("in --ray", "in --ray=auto"),
        ("--ray --output-dir o in", "--ray=auto --output-dir o in"),
        ("--ray auto in", "--ray=auto in"),
        ("--ray local in", "--ray=local in"),
        ("--ray head:6379 in", "--ray=head:6379 in"),
        ("--ray 10.0.0.1:6379 in", "--ray=10.0.0.1:6379 in"),
        ("--ray [::1]:6379 in", "--ray=[::1]:6379 in"),
        ("--ray ray://head:10001 in", "--ray=ray://head:10001 in"),
        ("--ray=other in", "--ray=other in"),
        # Recordings, however they look.
        ("--ray s3://bucket/a in", "--ray=auto s3://bucket/a in"),
        ("--ray ./auto", "--ray=auto ./auto"),
        ("--ray take:1.wav", "--ray=auto take:1.wav"),
        ("--ray auto auto", "--ray=auto auto"),
        ("--ray C:/talks", "--ray=auto C:/talks"),
        ("--ray -- auto", "--ray=auto -- auto"),
        ("in -- --ray", "in -- --ray"),
        ("in", "in"),
        ("", ""),
    ],
)
def test_what_looks_like_an_address_is_one(given: str, meant: str) -> None:
    assert with_address(given.split()) == meant.split()


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ("--ray", "expected --output-dir DIR with --ray, got none"),
        ("--ray --output-dir o -o x", "expected --output-dir DIR with --ray, got --output"),
        ("--ray --output-dir o --plot x", "got --plot"),
        ("--ray --output-dir o --pace realtime", "got --pace realtime"),
        ("--ray --output-dir o --serve", "got --serve"),
        ("--ray --output-dir o --format csv", "expected --format jsonl or parquet with --ray, got csv"),
        ("--workers 2", "expected --ray with --workers, got none"),
        ("--cpus-per-worker 2", "expected --ray with --cpus-per-worker, got none"),
        ("--gpus-per-worker 0.5", "expected --ray with --gpus-per-worker, got none"),
        ("--batch 8", "expected --ray with --batch, got none"),
        ("s3://bucket/in", "expected --ray with an address, got s3://bucket/in alone"),
        ("--output-dir s3://bucket/out", "expected --ray with an address, got s3://bucket/out alone"),
        (
            "--ray ray://head:10001 --output-dir o",
            "expected HOST:PORT of a cluster that this machine is part of",
        ),
        ("--ray --output-dir o --cpus-per-worker 0", "a share of a CPU or of a GPU"),
        (
            "--ray --output-dir o --cpus-per-worker 0.00001",
            "a multiple of 0.0001 with --cpus-per-worker, got 1e-05",
        ),
        ("--ray --output-dir o --gpus-per-worker 1.5", "whole GPUs or a share of one"),
        ("--ray --output-dir o --gpus-per-worker 1 --device cpu", "got --device cpu; leave one out"),
    ],
)
def test_flags_that_do_not_go_together_are_refused_in_a_line(flags: str, told: str) -> None:
    done = run("replay", "in.wav", *flags.split())
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("emostream: ")
    assert told in line


@pytest.mark.parametrize(
    ("gpus", "asked", "device"),
    [(None, "auto", "cpu"), (None, "cuda", "cuda"), (0.5, "auto", "auto"), (1, "cuda", "cuda")],
)
def test_a_worker_takes_no_gpu_that_it_was_not_given(gpus: float | None, asked: str, device: str) -> None:
    models = ModelSettings(device=asked)  # type: ignore[arg-type]  # one of them
    assert RayFlags("auto", None, None, gpus, None).on_workers(models).device == device


def test_folders_of_models_are_whole_for_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    flags = RayFlags("auto", None, None, None, None)
    found = flags.on_workers(ModelSettings(asr="mine", checkpoint="./mine"))
    assert (found.asr, found.checkpoint) == (f"{tmp_path}/mine", f"{tmp_path}/mine")
    found = flags.on_workers(ModelSettings(asr="tiny.en", checkpoint="someone/model"))
    assert (found.asr, found.checkpoint) == ("tiny.en", "someone/model")
