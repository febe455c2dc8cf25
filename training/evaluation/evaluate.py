"""Evaluation of a checkpoint on a manifest, through the recognizer that serves.

A row is one kind of input: audio only, audio with the words that were really spoken, audio with a text of the
same label (inflated, and marked as such). A checkpoint of the four labels is evaluated by the labels that the
corpora's own map to, one with other labels by the corpora's own labels of the same names.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from emostream.models import Prediction, load_recognizer
from emostream.models.recognition import Recognition

from ..corpora.example import CorpusError, Example
from ..corpora.manifest import read_manifest
from ..corpora.text_corpus import read_text_corpus
from ..errors import SettingsError
from .classify import (
    PosteriorName,
    posterior_of,
    predict_clips,
    predict_texts,
    score,
    true_indices,
    true_label,
)
from .corruptions import corruptions
from .metrics import ClassificationMetrics, compute_metrics
from .reliability import ReliabilityStats, reliability_stats
from .text_conflict import PairedTexts, TextConflicts, text_conflicts

AUDIO_ONLY: Final = "audio only"
OWN_TRANSCRIPT: Final = "audio and own transcript"
LABEL_MATCHED: Final = "audio and label-matched text (inflated)"
MISMATCHED: Final = "audio and mismatched text"
MATCHED_TEXT_ONLY: Final = "label-matched text only (inflated)"
TEXT_ONLY: Final = "text only"
TEXT_CORPORA: Final = ("dailydialog_reccon", "emorynlp", "goemotions", "meld")
PAIRED_CORPUS: Final = "meld"
"""Corpus whose lines are paired with clips, where it is there: nothing was trained on it."""


@dataclass(frozen=True, slots=True)
class EvaluationRow:
    """One row of the table. input: what the model received. posterior: which of its posteriors is
    evaluated.
    """

    input: str
    corpus: str
    split: str
    posterior: PosteriorName
    metrics: ClassificationMetrics
    reliability: ReliabilityStats

    def as_dict(self) -> dict[str, Any]:
        head = {"input": self.input, "corpus": self.corpus, "split": self.split, "posterior": self.posterior}
        return head | self.metrics.as_dict() | {"reliability": self.reliability.as_dict()}


@dataclass(frozen=True, slots=True)
class Evaluation:
    """labels: in the order of every confusion matrix. rows: one per kind of input and corpus. corrupted:
    (corpus, corruption) -> metrics of audio only, empty where not requested. conflicts: corpus -> effect of
    contradicting texts.
    """

    labels: tuple[str, ...]
    rows: list[EvaluationRow] = field(default_factory=list)
    corrupted: dict[tuple[str, str], ClassificationMetrics] = field(default_factory=dict)
    conflicts: dict[str, TextConflicts] = field(default_factory=dict)

    def row(self, input_name: str, corpus: str, posterior: PosteriorName) -> EvaluationRow | None:
        wanted = (input_name, corpus, posterior)
        return next((row for row in self.rows if (row.input, row.corpus, row.posterior) == wanted), None)

    def as_dict(self) -> dict[str, Any]:
        return {
            "labels": list(self.labels),
            "rows": [row.as_dict() for row in self.rows],
            "corrupted": [
                {"corpus": corpus, "corruption": corruption} | metrics.as_dict()
                for (corpus, corruption), metrics in self.corrupted.items()
            ],
            "conflicts": {corpus: conflicts.as_dict() for corpus, conflicts in self.conflicts.items()},
        }


def evaluate(
    checkpoint: Path | None, manifest: Path, split: str, output_dir: Path, *, robustness: bool = False
) -> Evaluation:
    """Evaluates every row the manifest's folder allows; writes metrics.json, predictions.csv and
    confusion.png.

    split: train, dev, test, or all. robustness: evaluate corrupted clips as well, which takes ten times as
    long. Raises CorpusError where the split holds no clip of the checkpoint's labels.
    """
    from .evaluation_report import write_confusions  # matplotlib takes a second to import, and only here

    recognizer = load_recognizer(checkpoint)
    labels = recognizer.labels
    examples = _of_split(read_manifest(manifest), split, labels)
    if not any(example.path is not None for example in examples):
        raise CorpusError(
            f"{manifest}: expected clips of split {split} with a label out of {', '.join(labels)}, got none: "
            "take another --split (all, where the manifest has none), or fix the labels"
        )
    folder = manifest if manifest.is_dir() else manifest.parent
    text_file = folder / "text.csv.gz"
    lines = read_text_corpus(text_file, TEXT_CORPORA) if text_file.exists() else []
    lines = _of_split(lines, split, labels) + [example for example in examples if example.path is None]
    if output_dir.exists() and not output_dir.is_dir():
        raise SettingsError(
            f"expected a folder to write to at {output_dir}, got a file: name another with --output-dir"
        )
    output_dir.mkdir(parents=True, exist_ok=True)
    evaluation = Evaluation(tuple(labels))
    with (output_dir / "predictions.csv").open("w", newline="", encoding="utf-8") as file:
        run = _EvaluationRun(evaluation, recognizer, lines, split, csv.writer(file))
        run.write_header()
        for corpus in sorted({example.corpus for example in examples}):
            clips = [e for e in examples if e.corpus == corpus and e.path is not None]
            if clips:
                run.evaluate_corpus(clips)
                if robustness:
                    run.evaluate_corrupted(clips)
        run.evaluate_texts()
    (output_dir / "metrics.json").write_text(
        json.dumps(evaluation.as_dict(), indent=1) + "\n", encoding="utf-8"
    )
    write_confusions(evaluation, output_dir / "confusion.png")
    return evaluation


@dataclass(frozen=True, slots=True)
class _EvaluationRun:
    """Adds rows to `evaluation` and lines to predictions.csv. lines: of the text corpora and the manifest."""

    evaluation: Evaluation
    recognizer: Recognition
    lines: Sequence[Example]
    split: str
    writer: Any

    @property
    def labels(self) -> Sequence[str]:
        return self.recognizer.labels

    def write_header(self) -> None:
        self.writer.writerow(["input", "path", "truth", "predicted", *self.labels])

    def evaluate_corpus(self, examples: Sequence[Example]) -> None:
        """All rows of one corpus. examples: its clips."""
        audio_only = self._predict(AUDIO_ONLY, examples, [None] * len(examples))
        self._add(AUDIO_ONLY, examples, audio_only, "audio")
        self._add(AUDIO_ONLY, examples, audio_only, "fused")
        for sex in sorted({example.sex for example in examples} - {""}):
            indices = [index for index, example in enumerate(examples) if example.sex == sex]
            of_sex = [examples[index] for index in indices]
            self._add(f"{AUDIO_ONLY}, {sex}", of_sex, [audio_only[index] for index in indices], "audio")
        if transcribed := [example for example in examples if example.english]:
            own = self._predict(OWN_TRANSCRIPT, transcribed, [example.english for example in transcribed])
            self._add(OWN_TRANSCRIPT, transcribed, own, "fused")
        texts = _paired_texts(self.lines, self.labels)
        truth = [true_label(example, self.labels) for example in examples]
        # Label-matched texts only where every label of the examples has some.
        if set(truth) <= set(texts.labels):
            self._evaluate_paired(examples, truth, texts)

    def _evaluate_paired(self, examples: Sequence[Example], truth: Sequence[str], texts: PairedTexts) -> None:
        """Clips with a text of their own label, and with one of each other label."""
        keys = [example.key for example in examples]
        matched_texts = [texts.draw(key, label) for key, label in zip(keys, truth, strict=True)]
        matched = self._predict(LABEL_MATCHED, examples, matched_texts)
        self._add(LABEL_MATCHED, examples, matched, "fused")
        self._add(MATCHED_TEXT_ONLY, examples, matched, "text")
        others = [texts.others(label) for label in truth]
        mismatched = [
            self._predict(
                MISMATCHED,
                examples,
                [texts.draw(key, names[turn]) for key, names in zip(keys, others, strict=True)],
            )
            for turn in range(len(texts.labels) - 1)
        ]
        if mismatched:
            self.evaluation.conflicts[examples[0].corpus] = text_conflicts(
                matched * len(mismatched), [prediction for part in mismatched for prediction in part]
            )

    def evaluate_corrupted(self, examples: Sequence[Example]) -> None:
        """Audio only, under every known corruption."""
        for corruption in corruptions():
            predictions = predict_clips(self.recognizer, examples, [None] * len(examples), corruption.apply)
            metrics = score(self.labels, examples, predictions, "audio")
            self.evaluation.corrupted[examples[0].corpus, corruption.name] = metrics

    def evaluate_texts(self) -> None:
        """The text-only head on the lines of every corpus."""
        for corpus in sorted({line.corpus for line in self.lines}):
            lines = [line for line in self.lines if line.corpus == corpus]
            self._add(TEXT_ONLY, lines, predict_texts(self.recognizer, lines), "text")

    def _predict(
        self, input_name: str, examples: Sequence[Example], texts: Sequence[str | None]
    ) -> list[Prediction]:
        predictions = predict_clips(self.recognizer, examples, texts)
        for example, prediction in zip(examples, predictions, strict=True):
            probabilities = [f"{p:.4f}" for p in prediction.probabilities]
            truth = true_label(example, self.labels)
            self.writer.writerow([input_name, example.key, truth, prediction.label, *probabilities])
        return predictions

    def _add(
        self,
        input_name: str,
        examples: Sequence[Example],
        predictions: Sequence[Prediction],
        posterior: PosteriorName,
    ) -> None:
        truth, probabilities = true_indices(self.labels, examples), posterior_of(predictions, posterior)
        self.evaluation.rows.append(
            EvaluationRow(
                input_name,
                examples[0].corpus,
                self.split,
                posterior,
                compute_metrics(truth, probabilities),
                reliability_stats(truth, probabilities),
            )
        )


def _paired_texts(lines: Sequence[Example], labels: Sequence[str]) -> PairedTexts:
    paired = [line for line in lines if line.corpus == PAIRED_CORPUS] or list(lines)
    return PairedTexts(paired, [true_label(line, labels) for line in paired])


def _of_split(examples: Iterable[Example], split: str, labels: Sequence[str]) -> list[Example]:
    return [e for e in examples if split in ("all", e.split) and true_label(e, labels) in labels]
