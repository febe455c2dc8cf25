"""Evaluation of a checkpoint on a manifest, and the command for it."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from emostream.models.recognizer import EmotionRecognizer
from emostream.training.__main__ import main
from emostream.training.corpora.example import CorpusError
from emostream.training.corpora.manifest import read_manifest
from emostream.training.evaluation.classify import predict_clips, score
from emostream.training.evaluation.corruptions import corruptions
from emostream.training.evaluation.evaluate import evaluate
from emostream.training.evaluation.evaluation_report import corruption_table
from tests.support.tiny_emotion import noise, write_tiny


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Eight short clips of two speakers in a folder with its manifest."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    rows = []
    for index in range(8):
        soundfile.write(folder / f"{index}.flac", noise(6000, index), 16_000)
        label = ("angry", "happy", "sad", "neutral")[index % 4]
        split = "test" if index < 4 else "train"
        rows.append([f"{index}.flac", f"s{index // 4}", label, "The door.", split, "c", "en", label, ""])
    with (folder / "manifest.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["path", "speaker", "emotion", "text", "split", "corpus", "lang", "emotion_orig", "dup_of"]
        )
        writer.writerows(rows)
    return folder / "manifest.csv"


def test_evaluate_writes_metrics_and_predictions(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = write_tiny(tmp_path / "model"), tmp_path / "out"
    arguments = ["evaluate", "--checkpoint", str(folder), "--manifest", str(corpus), "--output-dir", str(out)]
    assert main(arguments) == 0
    rows = json.loads((out / "metrics.json").read_text())["rows"]
    assert (out / "confusion.png").read_bytes().startswith(b"\x89PNG")
    assert [(row["input"], row["posterior"], row["count"]) for row in rows] == [
        ("audio only", "audio", 4),
        ("audio only", "fused", 4),
        ("audio and own transcript", "fused", 4),
    ]
    assert capsys.readouterr().out.count("| c | test |") == 3
    with (out / "predictions.csv").open(newline="") as file:
        predictions = list(csv.DictReader(file))
    assert len(predictions) == 8
    assert all(float(row["angry"]) <= 1.0 for row in predictions)
    right = [row["truth"] == row["predicted"] for row in predictions if row["input"] == "audio only"]
    assert np.mean(right) == pytest.approx(rows[1]["wa"])


def evaluated_rows(folder: Path, manifest: Path, out: Path) -> list[tuple[str, int]]:
    """Input and clip count of every row."""
    return [(row.input, row.metrics.count) for row in evaluate(folder, manifest, "test", out).rows]


def write_texts(folder: Path, *labels: str) -> None:
    """A test line of each label beside the manifest."""
    with gzip.open(folder / "text.csv.gz", "wt", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["corpus", "text", "emotion", "emotion_orig", "split", "dialogue_id", "in_meld_devtest"]
        )
        for label in labels:
            writer.writerow(["emorynlp", f"so {label}", label, label, "test", "1", ""])


INFLATED = "audio and label-matched text (inflated)"


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (("angry", "happy", "sad", "neutral"), [INFLATED, "label-matched text only (inflated)"]),
        (("angry", "happy", "sad"), []),
        ((), []),
    ],
)
def test_label_matched_texts_are_used_where_every_label_has_some(
    labels: tuple[str, ...], expected: list[str], corpus: Path, tmp_path: Path
) -> None:
    write_texts(corpus.parent, *labels)
    rows = evaluated_rows(write_tiny(tmp_path / "model"), corpus, tmp_path / "out")
    assert rows[:3] == [("audio only", 4), ("audio only", 4), ("audio and own transcript", 4)]
    text_only = [("text only", len(labels))] if labels else []
    assert rows[3:] == [(name, 4) for name in expected] + text_only


def test_a_manifest_without_splits_is_evaluated_as_a_whole(corpus: Path, tmp_path: Path) -> None:
    with corpus.open(newline="") as file:
        rows = [
            {name: row[name] for name in ("path", "speaker", "emotion")} | {"sex": "fm"[index % 2]}
            for index, row in enumerate(csv.DictReader(file))
        ]
    with corpus.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    folder = write_tiny(tmp_path / "model")
    with pytest.raises(CorpusError, match="expected clips of split test"):
        evaluate(folder, corpus, "test", tmp_path / "out")
    evaluation = evaluate(folder, corpus.parent, "all", tmp_path / "out")
    assert [(row.input, row.metrics.count) for row in evaluation.rows] == [
        ("audio only", 8),
        ("audio only", 8),
        ("audio only, f", 4),
        ("audio only, m", 4),
    ]


def test_robustness_corrupts_every_clip_in_every_way(corpus: Path, tmp_path: Path) -> None:
    evaluation = evaluate(write_tiny(tmp_path / "model"), corpus, "test", tmp_path / "out", robustness=True)
    assert [corruption for _, corruption in evaluation.corrupted] == [
        corruption.name for corruption in corruptions()
    ]
    assert {metrics.count for metrics in evaluation.corrupted.values()} == {4}
    uncorrupted = evaluation.row("audio only", "c", "audio")
    assert uncorrupted is not None
    assert evaluation.corrupted["c", "as recorded"] == uncorrupted.metrics
    assert corruption_table(evaluation).count("\n") == len(corruptions()) + 1


def test_a_checkpoint_with_other_labels_is_evaluated_by_the_corpus_s_own(
    corpus: Path, tmp_path: Path
) -> None:
    """The manifest calls calm neutral, as the four classes do; here calm is a label and fear is none."""
    with corpus.open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row, original in zip(rows, ["angry", "fear", "sad", "calm"], strict=False):
        row["emotion_orig"] = original
    with corpus.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    write_texts(corpus.parent, "angry", "sad", "calm")
    names = ["angry", "calm", "neutral", "sad"]
    folder = write_tiny(tmp_path / "model", label_names=names)
    assert evaluated_rows(folder, corpus, tmp_path / "out")[0] == ("audio only", 3)
    with (tmp_path / "out" / "predictions.csv").open(newline="") as file:
        truth = [row["truth"] for row in csv.DictReader(file) if row["input"] == "audio only"]
    assert truth == ["angry", "sad", "calm"]
    recognizer = EmotionRecognizer.load(folder, device="cpu")
    examples = [e for e in read_manifest(corpus) if e.split == "test" and e.emotion_orig in names]
    predictions = predict_clips(recognizer, examples, [None] * 3)
    right = [prediction.label == original for prediction, original in zip(predictions, truth, strict=True)]
    assert score(recognizer.labels, examples, predictions, "fused").wa == pytest.approx(np.mean(right))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["evaluate", "--manifest", "nowhere.csv", "--output-dir", "out"], "expected a manifest"),
        (["evaluate", "--checkpoint", "./nowhere", "--output-dir", "out"], "found none"),
        (["train", "--config", "nowhere.toml", "--output-dir", "out"], "expected a TOML file"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    line = capsys.readouterr().err
    assert message in line
    assert line.count("\n") == 1
