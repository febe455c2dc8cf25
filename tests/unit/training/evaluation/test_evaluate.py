"""Figures of the bundled checkpoint, and the command that makes them."""

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
from emostream.training.evaluation.corruptions import harms
from emostream.training.evaluation.evaluate import corruption_table, evaluate, judge, score
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


def test_evaluate_writes_figures_and_predictions(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = write_tiny(tmp_path / "model"), tmp_path / "out"
    arguments = ["evaluate", "--checkpoint", str(folder), "--manifest", str(corpus), "--output-dir", str(out)]
    assert main(arguments) == 0
    rows = json.loads((out / "metrics.json").read_text())["rows"]
    assert (out / "confusion.png").read_bytes().startswith(b"\x89PNG")
    assert [(row["what"], row["read"], row["count"]) for row in rows] == [
        ("sound alone", "audio", 4),
        ("sound alone", "fused", 4),
        ("sound and its own words", "fused", 4),
    ]
    assert capsys.readouterr().out.count("| c | test |") == 3
    with (out / "predictions.csv").open(newline="") as file:
        predictions = list(csv.DictReader(file))
    assert len(predictions) == 8
    assert all(float(row["angry"]) <= 1.0 for row in predictions)
    right = [row["truth"] == row["guess"] for row in predictions if row["asked_with"] == "sound alone"]
    assert np.mean(right) == pytest.approx(rows[1]["wa"])


def evaluated(folder: Path, manifest: Path, out: Path) -> list[tuple[str, int]]:
    """What was asked, and of how many."""
    return [(row.what, row.metrics.count) for row in evaluate(folder, manifest, "test", out).rows]


def write_texts(folder: Path, *labels: str) -> None:
    """A test line of each label beside the manifest."""
    with gzip.open(folder / "text.csv.gz", "wt", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["corpus", "text", "emotion", "emotion_orig", "split", "dialogue_id", "in_meld_devtest"]
        )
        for label in labels:
            writer.writerow(["emorynlp", f"so {label}", label, label, "test", "1", ""])


INFLATED = "sound and a text of the same label (inflated)"


@pytest.mark.parametrize(
    ("labels", "asked"),
    [
        (("angry", "happy", "sad", "neutral"), [INFLATED, "that text alone (inflated)"]),
        (("angry", "happy", "sad"), []),
        ((), []),
    ],
)
def test_texts_of_the_same_label_are_read_where_every_label_has_some(
    labels: tuple[str, ...], asked: list[str], corpus: Path, tmp_path: Path
) -> None:
    write_texts(corpus.parent, *labels)
    rows = evaluated(write_tiny(tmp_path / "model"), corpus, tmp_path / "out")
    assert rows[:3] == [("sound alone", 4), ("sound alone", 4), ("sound and its own words", 4)]
    alone = [("words alone", len(labels))] if labels else []
    assert rows[3:] == [(what, 4) for what in asked] + alone


def test_a_user_s_own_folder_without_splits_is_judged_whole(corpus: Path, tmp_path: Path) -> None:
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
    found = evaluate(folder, corpus.parent, "all", tmp_path / "out")
    assert [(row.what, row.metrics.count) for row in found.rows] == [
        ("sound alone", 8),
        ("sound alone", 8),
        ("sound alone, f", 4),
        ("sound alone, m", 4),
    ]


def test_robustness_harms_every_clip_in_every_way(corpus: Path, tmp_path: Path) -> None:
    found = evaluate(write_tiny(tmp_path / "model"), corpus, "test", tmp_path / "out", robustness=True)
    assert [harm for _, harm in found.harmed] == [harm.name for harm in harms()]
    assert {metrics.count for metrics in found.harmed.values()} == {4}
    unharmed = found.row("sound alone", "c", "audio")
    assert unharmed is not None
    assert found.harmed["c", "as recorded"] == unharmed.metrics
    assert corruption_table(found).count("\n") == len(harms()) + 1


def test_a_checkpoint_with_labels_of_its_own_is_judged_by_the_corpus_s_own(
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
    assert evaluated(folder, corpus, tmp_path / "out")[0] == ("sound alone", 3)
    with (tmp_path / "out" / "predictions.csv").open(newline="") as file:
        truth = [row["truth"] for row in csv.DictReader(file) if row["asked_with"] == "sound alone"]
    assert truth == ["angry", "sad", "calm"]
    recognizer = EmotionRecognizer.load(folder, device="cpu")
    examples = [e for e in read_manifest(corpus) if e.split == "test" and e.emotion_orig in names]
    predictions = judge(recognizer, examples, [None] * 3)
    right = [prediction.label == original for prediction, original in zip(predictions, truth, strict=True)]
    assert score(recognizer.labels, examples, predictions, "fused").wa == pytest.approx(np.mean(right))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["evaluate", "--manifest", "nowhere.csv", "--output-dir", "out"], "expected a manifest"),
        (["evaluate", "--checkpoint", "./nowhere", "--output-dir", "out"], "found none"),
        (["train", "--config", "nowhere.toml", "--output-dir", "out"], "expected a TOML file"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    arguments: list[str],
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    message = capsys.readouterr().err
    assert says in message
    assert message.count("\n") == 1
