"""The probe as a whole: places in, a report out."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score

from emostream.models import LABELS
from emostream.training.__main__ import main
from emostream.training.corpora.example import CorpusError
from emostream.training.probe import probe
from tests.support.corpus_trees import write_sound
from tests.support.tiny_emotion import write_tiny


def folders(root: Path, *, speakers: int = 6, first: int = 0) -> Path:
    """Tones of one pitch for each label, in folders named by speaker and label."""
    for speaker in range(speakers):
        for number, label in enumerate(LABELS):
            for take in range(2):
                path = root / f"s{speaker}" / label / f"{take}.wav"
                path.parent.mkdir(parents=True, exist_ok=True)
                write_sound(path, label, first + 100 * speaker + 10 * number + take)
    return root


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return write_tiny(tmp_path / "tiny", audio_mix="concat", audio_mix_layers=[0, 1], audio_mix_width=8)


@pytest.mark.long
def test_each_corpus_by_speaker_and_each_left_out(tmp_path: Path, checkpoint: Path) -> None:
    places = [folders(tmp_path / "one"), folders(tmp_path / "two", speakers=5, first=7)]
    report = probe(places, checkpoint=checkpoint, work=tmp_path / "run", device="cpu")
    assert [(row.corpus, row.protocol) for row in report.rows] == [
        ("one", "speakers left out"),
        ("two", "speakers left out"),
        ("one", "corpus left out"),
        ("two", "corpus left out"),
    ]
    for row in report.rows:
        truth = np.concatenate([fold.truth for fold in row.folds])
        predicted = np.concatenate([fold.predicted for fold in row.folds])
        assert row.ua.value == pytest.approx(balanced_accuracy_score(truth, predicted))
        assert row.ua.unit_kind == "speakers"
        assert row.ua.interval.low <= row.ua.value <= row.ua.interval.high
        assert (row.clips, row.chance_ua, row.most_frequent) == (len(truth), 0.25, 0.25)
    assert report.rows[0].ua.value > 0.9  # the pitch tells the label
    assert "**mean** | corpus left out" in report.table()


@pytest.mark.long
def test_speakers_that_are_unknown_are_said_so(tmp_path: Path, checkpoint: Path) -> None:
    root = tmp_path / "clips"
    for number in range(24):
        path = root / LABELS[number % 4] / f"{number}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_sound(path, LABELS[number % 4], number)
    report = probe([root], checkpoint=checkpoint, work=tmp_path / "run", device="cpu")
    assert report.rows[0].protocol == "clips left out"
    assert "unknown" in report.table()
    assert "that figure is too good" in report.summary()
    with pytest.raises(CorpusError, match="expected the speaker of every clip"):
        probe([root], checkpoint=checkpoint, work=tmp_path / "run", device="cpu", centre_speakers=True)


@pytest.mark.long
def test_the_command_prints_the_table_and_writes_files(
    tmp_path: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place, out = folders(tmp_path / "one"), tmp_path / "out"
    arguments = [
        "probe",
        str(place),
        "--checkpoint",
        str(checkpoint),
        "--work",
        str(tmp_path / "run"),
        "--cpu",
    ]
    assert main([*arguments, "--layers", "1,0", "--output-dir", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "layers 1, 0" in printed
    assert printed.rstrip().endswith(str(out / "probe.md"))
    row = json.loads((out / "probe.json").read_text())["rows"][0]
    with (out / "predictions.csv").open() as file:
        lines = list(csv.DictReader(file))
    right = [line["truth"] == line["predicted"] for line in lines]
    assert row["wa"]["value"] == pytest.approx(np.mean(right))
    assert np.sum(row["confusion"]) == len(lines) == 48


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--layers", "1,x"], "expected --layers as numbers"),
        (["--layers", "7"], "expected layers from 0 to 2"),
        (["--checkpoint", "nowhere/at/all"], "expected a checkpoint folder"),
    ],
)
def test_errors_are_one_line(
    tmp_path: Path, checkpoint: Path, options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    place = folders(tmp_path / "one", speakers=2)
    arguments = [
        "probe",
        str(place),
        "--checkpoint",
        str(checkpoint),
        "--work",
        str(tmp_path / "run"),
        *options,
    ]
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_one_label_alone_is_an_error(tmp_path: Path, checkpoint: Path) -> None:
    path = tmp_path / "clips" / "sad" / "1.wav"
    path.parent.mkdir(parents=True)
    write_sound(path, "sad", 1)
    with pytest.raises(CorpusError, match=r"expected clips of two labels or more .* got clips: sad"):
        probe([tmp_path / "clips"], checkpoint=checkpoint, work=tmp_path / "run", device="cpu")
