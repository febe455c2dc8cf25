"""`emostream compare`: what it reads, and what it prints."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from tests.support.programs import run_here
from tests.support.result_lines import closed, final, no_emotion, session, write


@pytest.fixture
def results(tmp_path: Path) -> Path:
    lines = [
        *session(
            final(1, "sad", 0, 1_000, 0.9),
            final(2, "angry", 2_000, 3_000, 0.6),
            closed(4_000),
            file="d/a.wav",
        ),
        *session(
            final(1, "happy", 0, 1_000, 0.7), no_emotion(2, 2_000, 3_000), closed(4_000), file="d/b.wav"
        ),
    ]
    return write(tmp_path / "model.jsonl", lines)


@pytest.fixture
def people(tmp_path: Path) -> Path:
    path = tmp_path / "people.csv"
    path.write_text(
        "recording,emotion,listener\na.wav,Sadness,1\nb.wav, happy ,1\nc.wav,,1\n", encoding="utf-16"
    )
    return path


def test_a_model_and_people(results: Path, people: Path) -> None:
    done = run_here("compare", str(results), str(people), "--map", "Sadness=sad", "--format", "json")
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert (found["compared"], found["only_first"], found["only_second"]) == (3, 0, 0)
    assert found["labels"] == ["angry", "happy", "sad"]
    assert found["agreement"]["value"] == pytest.approx(2 / 3)
    (different,) = found["different"]
    assert (different["file"], different["start_s"]) == ("d/a.wav", 2.0)
    assert (different["first"], different["second"], different["confidence"]) == ("angry", "sad", 0.6)


def test_the_text(results: Path, people: Path) -> None:
    text = run_here("compare", str(results), str(people), "--map", "sadness=sad").stdout
    assert "3 utterances; 0 of the first and 0 of the second have no partner" in " ".join(text.split())
    assert "66.7%" in text
    assert "1 differ" in text
    assert "00:02.0" in text


def test_a_row_for_each_pair(results: Path, people: Path) -> None:
    done = run_here("compare", str(results), str(people), "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [(row["file"], row["first"], row["second"]) for row in rows] == [
        ("d/a.wav", "sad", "sadness"),
        ("d/a.wav", "angry", "sadness"),
        ("d/b.wav", "happy", "happy"),
    ]


def test_results_with_themselves_agree(results: Path) -> None:
    done = run_here("compare", str(results), str(results))
    assert "100.0%" in done.stdout
    assert "differ" not in done.stdout


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("file,mood\na.wav,sad\n", "expected a column file and a column label"),
        ("file,label\nz.wav,sad\n", "expected utterances of the same recordings"),
        ("file,label,start_s,end_s\na.wav,sad,1,\n", "row 1"),
        ("file,label,start_s,end_s\na.wav,sad,x,2\n", "row 1"),
        ("file,label\n", "expected labelled utterances"),
    ],
)
def test_bad_labels_are_one_line(results: Path, tmp_path: Path, content: str, named: str) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(content)
    done = run_here("compare", str(results), str(path))
    (line,) = done.stderr.splitlines()
    assert done.returncode == 2
    assert named in line


@pytest.mark.parametrize("option", ["sad", "=sad", "x="])
def test_a_bad_map_is_one_line(results: Path, option: str) -> None:
    done = run_here("compare", str(results), str(results), "--map", option)
    assert done.returncode == 2
    assert "expected --map THEIRS=OURS" in done.stderr
