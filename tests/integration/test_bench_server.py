"""The bench commands start a server of their own and report what it cost."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.support.programs import SMALL_MODEL
from tests.support.programs import run as run_program


def test_bench_starts_a_server_and_reports_its_cost(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    done = run_program("bench", "latency", *SMALL_MODEL, "--seconds", "8", "--json", str(file))
    assert done.returncode == 0, done.stderr
    assert re.search(r"^\| 1 +\| silence +\| ", done.stdout, re.M)
    (one,) = json.loads(file.read_text())
    assert one["latency"][0]["reason"] == "silence"
    assert one["latency"][0]["finals"] > 0
    assert one["errors"] == one["refused"] == []
    assert one["model_s"] > 0
    assert 0 < one["cores_busy"] < one["cores"]
    assert one["memory_mib"] > 50


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["streams", "--counts", "one"], "expected --counts such as 1,4,16, got 'one'"),
        (["latency", "--speech", "{tmp}"], "found none; name others"),
        (
            ["latency", "--asr", "none", "--checkpoint", "{tmp}", "--seconds", "5"],
            "expected a server, it ended with",
        ),
    ],
)
def test_invalid_options_are_reported_in_one_line(arguments: list[str], message: str, tmp_path: Path) -> None:
    done = run_program("bench", *(word.replace("{tmp}", str(tmp_path)) for word in arguments))
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
