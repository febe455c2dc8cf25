"""A replay written as Parquet by the program."""

from __future__ import annotations

from pathlib import Path

import pandas
import pytest

from emostream.models import LABELS
from tests.support.programs import RECORDING, SMALL_MODEL, json_lines, run


def test_replay_as_parquet_equals_replay_as_json_lines(tmp_path: Path) -> None:
    """Two recordings in one file, written by the program and read by pandas."""
    other = tmp_path / "other.ogg"
    other.write_bytes(RECORDING.read_bytes())
    out = tmp_path / "all.parquet"
    arguments = ("replay", str(RECORDING), str(other), *SMALL_MODEL)
    done = run(*arguments, "--format", "parquet", "--output", str(out))
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    finals = [event for event in json_lines(run(*arguments).stdout) if event["type"] == "emotion"]
    read = pandas.read_parquet(out)
    assert read["file"].unique().tolist() == [str(RECORDING), str(other)]
    for name in ("file", "utterance", "reason", "label"):
        assert read[name].tolist() == [event[name] for event in finals], name
    assert (read["start_s"] * 1_000).round().tolist() == [event["start_ms"] for event in finals]
    for label in LABELS:
        assert read[f"p_{label}"].tolist() == pytest.approx(
            [event["probabilities"][label] for event in finals]
        )
        assert read[f"text_{label}"].isna().all()
    assert [list(reasons) for reasons in read["uncertain"]] == [event["uncertain"] for event in finals]


def test_parquet_is_not_written_to_the_terminal() -> None:
    done = run("replay", "nowhere.wav", "--format", "parquet")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    assert "expected --output FILE or --output-dir DIR for parquet" in done.stderr
