"""Figures of a checkpoint on a manifest, through the very recognizer that serves.

A row is one way of asking: sound alone, sound with the words that were really spoken, sound with a text of
the same label (inflated, and named so). A checkpoint of the four labels is judged by what the corpora's own
become among the four, one with other labels by the corpora's own of the same names.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from emostream.models import LABELS, Clip, Prediction, Speech, Transcript
from emostream.models.recognizer import EmotionRecognizer

from ..corpora.example import OTHER, CorpusError, Example
from ..corpora.manifest import read_manifest
from ..corpora.texts import read_texts
from ..preparation.sounds import read_clip
from .metrics import Figures, figures

BATCH = 8
ALONE = "sound alone"
TEXT_CORPORA = ("dailydialog_reccon", "emorynlp", "goemotions", "meld")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table. what: how the model was asked; read: which of its posteriors is judged."""

    what: str
    corpus: str
    split: str
    read: str
    figures: Figures

    def as_dict(self) -> dict[str, Any]:
        head = {"what": self.what, "corpus": self.corpus, "split": self.split, "read": self.read}
        return head | self.figures.as_dict()


def judge(
    recognizer: EmotionRecognizer, examples: Sequence[Example], texts: Sequence[str | None]
) -> list[Prediction]:
    """examples and texts: one to one; clips are whole files, nothing trimmed."""
    predictions: list[Prediction] = []
    for start in range(0, len(examples), BATCH):
        speeches = [
            Speech(Clip(read_clip(example.sound)), Transcript(text) if text else None)
            for example, text in zip(
                examples[start : start + BATCH], texts[start : start + BATCH], strict=True
            )
        ]
        predictions += recognizer.recognize(speeches)
    return predictions


def truth_of(example: Example, labels: Sequence[str]) -> str:
    """What a checkpoint of these labels should have said: calm is neutral to one that knows four labels, and
    calm to one that knows calm.
    """
    return example.emotion if set(labels) <= {*LABELS, OTHER} else example.emotion_orig


def score(
    labels: Sequence[str], examples: Sequence[Example], predictions: Sequence[Prediction], read: str
) -> Figures:
    """read: which posterior is judged, `fused` or `audio`."""
    truth = [labels.index(truth_of(example, labels)) for example in examples]
    chosen = {
        "fused": [prediction.probabilities for prediction in predictions],
        "audio": [prediction.audio_only for prediction in predictions],
    }[read]
    return figures(truth, np.array(chosen, dtype=np.float64))


def evaluate(checkpoint: Path | None, manifest: Path, split: str, out: Path) -> list[Row]:
    """All rows that the manifest's folder allows, written to `out` as figures.json and predictions.csv.

    Raises CorpusError where the split holds no clip of the checkpoint's labels.
    """
    recognizer = EmotionRecognizer.load(checkpoint)
    labels = recognizer.labels
    chosen = _of(read_manifest(manifest), split, labels)
    if not chosen:
        raise CorpusError(
            f"{manifest}: expected clips of split {split} with a label out of {labels}, got none"
        )
    text_file = manifest.parent / "text.csv.gz"
    lines = read_texts(text_file, TEXT_CORPORA) if text_file.exists() else []
    lines = _of(lines, split, labels)
    out.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = []
    with (out / "predictions.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["asked_with", "path", "truth", "guess", *labels])
        for corpus in sorted({example.corpus for example in chosen}):
            part = [example for example in chosen if example.corpus == corpus]
            for what, texts in _asks(part, lines, labels):
                predictions = judge(recognizer, part, texts)
                for read in ("audio", "fused") if what == ALONE else ("fused",):
                    rows.append(Row(what, corpus, split, read, score(labels, part, predictions, read)))
                writer.writerows(_lines(what, part, predictions, labels))
    rows += _text_rows(recognizer, lines, split)
    write_rows(out / "figures.json", rows)
    return rows


def _of(examples: Iterable[Example], split: str, labels: Sequence[str]) -> list[Example]:
    return [e for e in examples if e.split == split and truth_of(e, labels) in labels]


def _asks(
    examples: Sequence[Example], lines: Sequence[Example], labels: Sequence[str]
) -> list[tuple[str, list[str | None]]]:
    """Texts of the same label only where every label of the examples has some."""
    asks: list[tuple[str, list[str | None]]] = [(ALONE, [None] * len(examples))]
    if any(example.english for example in examples):
        asks.append(("sound and its own words", [example.english or None for example in examples]))
    texts: dict[str, list[str]] = {}
    for line in lines:
        if line.corpus != "meld":
            texts.setdefault(truth_of(line, labels), []).append(line.words)
    wanted = [truth_of(example, labels) for example in examples]
    if set(wanted) <= texts.keys():
        rng = np.random.default_rng(0)
        drawn = [texts[label][rng.integers(len(texts[label]))] for label in wanted]
        asks.append(("sound and a text of the same label (inflated)", [*drawn]))
    return asks


def _text_rows(recognizer: EmotionRecognizer, lines: Sequence[Example], split: str) -> list[Row]:
    """The text-only head on written dialogue; the sound is empty and that head does not hear it."""
    nothing = Clip(np.zeros(0, dtype=np.float32))
    rows = []
    for corpus in sorted({line.corpus for line in lines}):
        part = [line for line in lines if line.corpus == corpus]
        shares = [
            prediction.text_only
            for start in range(0, len(part), 64)
            for prediction in recognizer.recognize(
                [Speech(nothing, Transcript(line.words)) for line in part[start : start + 64]]
            )
        ]
        truth = [recognizer.labels.index(truth_of(line, recognizer.labels)) for line in part]
        rows.append(Row("words alone", corpus, split, "text", figures(truth, np.array(shares))))
    return rows


def write_rows(file: Path, rows: Iterable[Row]) -> None:
    file.write_text(json.dumps([row.as_dict() for row in rows], indent=1) + "\n", encoding="utf-8")


def table(rows: Iterable[Row]) -> str:
    """Markdown, one line a row."""
    lines = [
        "| asked with | corpus | split | posterior | clips | UA | WA | macro-F1 | ECE | NLL | Brier |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        f = row.figures
        numbers = (f.ua, f.wa, f.macro_f1, f.ece, f.nll, f.brier)
        cells = [row.what, row.corpus, row.split, row.read, str(f.count), *(f"{n:.3f}" for n in numbers)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _lines(
    what: str, examples: Sequence[Example], predictions: Sequence[Prediction], labels: Sequence[str]
) -> Iterable[list[object]]:
    for example, prediction in zip(examples, predictions, strict=True):
        shares = [f"{p:.4f}" for p in prediction.probabilities]
        yield [what, example.key, truth_of(example, labels), prediction.label, *shares]
