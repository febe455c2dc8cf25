"""`emostream summary` of a replayed recording, as a program."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from tests.support.programs import (
    ENVIRONMENT,
    PROGRAM,
    RECORDING,
    SMALL_MODEL,
    TIMEOUT_S,
    run,
)
from tests.support.result_lines import talk, write


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("replayed")
    for form in ("jsonl", "csv"):
        done = run("replay", str(RECORDING), *SMALL_MODEL, "--format", form, "-o", str(folder / f"r.{form}"))
        assert done.returncode == 0, done.stderr
    return folder


def test_pandas_computes_the_same_from_the_csv_of_the_same_recording(replayed: Path, tmp_path: Path) -> None:
    plot = tmp_path / "s.png"
    done = run("summary", str(replayed / "r.jsonl"), "--format", "json", "--png", str(plot))
    assert (done.returncode, done.stderr) == (0, "")
    result = json.loads(done.stdout)
    table = pd.read_csv(replayed / "r.csv")
    table["s"] = table.end_s - table.start_s
    table["weighted"] = table.s * table.confidence
    by_label = table.groupby("label")[["s", "weighted"]].sum()
    for label, row in by_label.iterrows():
        emotion = result["emotions"][label]
        assert emotion["ms"] / 1_000 == pytest.approx(row.s)
        assert emotion["share"] == pytest.approx(row.s / table.s.sum(), abs=1e-6)
        assert emotion["confidence"] == pytest.approx(row.weighted / row.s, abs=1e-6)
    assert set(result["labels"]) == set(by_label.index)
    counts = pd.crosstab(table.label[:-1].to_numpy(), table.label[1:].to_numpy())
    pairs = {(a, b): n for a, row in result["transitions"].items() for b, n in row.items() if n}
    assert pairs == {(a, b): n for (a, b), n in counts.stack().items() if n}
    assert result["uncertain"] == table.uncertain.notna().sum()
    assert plot.stat().st_size > 10_000


def test_results_may_be_piped(replayed: Path) -> None:
    done = subprocess.run(
        [*PROGRAM, "summary", "-"],
        input=(replayed / "r.jsonl").read_bytes(),
        capture_output=True,
        timeout=TIMEOUT_S,
        env=ENVIRONMENT,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"standard input" in done.stdout


@pytest.mark.parametrize("form", ["json", "csv"])
def test_a_reader_that_has_gone_is_no_traceback(form: str, tmp_path: Path) -> None:
    write(tmp_path / "talk.jsonl", talk("sad", "happy"))
    read_end, write_end = os.pipe()
    os.close(read_end)
    command = [*PROGRAM, "summary", str(tmp_path), "--format", form]
    done = subprocess.run(command, stdout=write_end, stderr=subprocess.PIPE, env=ENVIRONMENT, check=False)
    os.close(write_end)
    assert (done.returncode, done.stderr) == (1, b"")
