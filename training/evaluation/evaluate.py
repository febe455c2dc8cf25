"""Figures of a checkpoint on a manifest, through the very recognizer that serves.

A row is one way of asking: sound alone, sound with the words that were really spoken, sound with a text of
the same label (inflated, and named so). A checkpoint of the four labels is judged by what the corpora's own
become among the four, one with other labels by the corpora's own of the same names.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from emostream.models import LABELS, Clip, EmotionInput, Prediction, Samples, Transcript
from emostream.models.recognizer import EmotionRecognizer

from ..corpora.example import OTHER, CorpusError, Example
from ..corpora.manifest import read_manifest
from ..corpora.text_corpus import read_text_corpus
from ..data.audio_cache import read_clip, trim
from ..errors import SettingsError
from ..trainer.seeding import example_rng
from .corruptions import harms
from .metrics import ClassificationMetrics, compute_metrics
from .reliability import ReliabilityStats, trust
from .text_conflict import SURE, UNSURE, PairedTexts, TextConflicts, conflicts

BATCH: Final = 8
ALONE: Final = "sound alone"
OWN_WORDS: Final = "sound and its own words"
MATCHED: Final = "sound and a text of the same label (inflated)"
AGAINST: Final = "sound and a text of another label"
TEXT_ALONE: Final = "that text alone (inflated)"
WORDS: Final = "words alone"
TEXT_CORPORA: Final = ("dailydialog_reccon", "emorynlp", "goemotions", "meld")
PAIRED_CORPUS: Final = "meld"
"""Whose lines are paired with clips, where there are any: a corpus that nothing was trained on."""

Probabilities = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class EvaluationRow:
    """One line of a table. what: how the model was asked; read: which of its posteriors is judged."""

    what: str
    corpus: str
    split: str
    read: str
    metrics: ClassificationMetrics
    trust: ReliabilityStats

    def as_dict(self) -> dict[str, Any]:
        head = {"what": self.what, "corpus": self.corpus, "split": self.split, "read": self.read}
        return head | self.metrics.as_dict() | {"trust": self.trust.as_dict()}


@dataclass(frozen=True, slots=True)
class Evaluation:
    """labels: in the order of every confusion matrix. rows: what was asked. harmed: (corpus, harm) -> figures
    of sound alone, empty where that was not asked for. conflicts: corpus -> what contradicting texts changed.
    """

    labels: tuple[str, ...]
    rows: list[EvaluationRow] = field(default_factory=list)
    harmed: dict[tuple[str, str], ClassificationMetrics] = field(default_factory=dict)
    conflicts: dict[str, TextConflicts] = field(default_factory=dict)

    def row(self, what: str, corpus: str, read: str) -> EvaluationRow | None:
        found = (row for row in self.rows if (row.what, row.corpus, row.read) == (what, corpus, read))
        return next(found, None)

    def as_dict(self) -> dict[str, Any]:
        return {
            "labels": list(self.labels),
            "rows": [row.as_dict() for row in self.rows],
            "harmed": [
                {"corpus": corpus, "harm": harm} | found.as_dict()
                for (corpus, harm), found in self.harmed.items()
            ],
            "conflicts": {corpus: found.as_dict() for corpus, found in self.conflicts.items()},
        }


def judge(
    recognizer: EmotionRecognizer,
    examples: Sequence[Example],
    texts: Sequence[str | None],
    harm: Callable[[Samples, np.random.Generator], Samples] = lambda samples, _: samples,
) -> list[Prediction]:
    """examples and texts: one to one. Silent edges are trimmed, as a segmenter does it and training did."""
    predictions: list[Prediction] = []
    for start in range(0, len(examples), BATCH):
        speeches = [
            EmotionInput(
                Clip(harm(trim(read_clip(example.audio_path)), example_rng(0, 0, example.key))),
                Transcript(text) if text else None,
            )
            for example, text in zip(
                examples[start : start + BATCH], texts[start : start + BATCH], strict=True
            )
        ]
        predictions += recognizer.recognize(speeches)
    return predictions


def true_label(example: Example, labels: Sequence[str]) -> str:
    """What a checkpoint of these labels should have said: one of the four, what the corpora's own labels
    become among them; any other, the corpus's own label.
    """
    return example.emotion if set(labels) <= {*LABELS, OTHER} else example.emotion_orig


def score(
    labels: Sequence[str], examples: Sequence[Example], predictions: Sequence[Prediction], read: str
) -> ClassificationMetrics:
    """read: which posterior is judged, `fused`, `audio` or `text`."""
    return compute_metrics(_numbers(labels, examples), _chosen(predictions, read))


def evaluate(
    checkpoint: Path | None, manifest: Path, split: str, out: Path, *, robustness: bool = False
) -> Evaluation:
    """All that the manifest's folder allows, written to `out`: metrics.json, predictions.csv, confusion.png.

    split: train, dev, test, or all. robustness: harm the clips in known ways as well, which takes ten times
    as long. Raises CorpusError where the split holds no clip of the checkpoint's labels.
    """
    recognizer = EmotionRecognizer.load(checkpoint)
    labels = recognizer.labels
    chosen = _of(read_manifest(manifest), split, labels)
    if not any(example.path is not None for example in chosen):
        raise CorpusError(
            f"{manifest}: expected clips of split {split} with a label out of {', '.join(labels)}, got none: "
            "take another --split (all, where the manifest has none), or fix the labels"
        )
    folder = manifest if manifest.is_dir() else manifest.parent
    text_file = folder / "text.csv.gz"
    lines = read_text_corpus(text_file, TEXT_CORPORA) if text_file.exists() else []
    lines = _of(lines, split, labels) + [example for example in chosen if example.path is None]
    if out.exists() and not out.is_dir():
        raise SettingsError(
            f"expected a folder to write to at {out}, got a file: name another with --output-dir"
        )
    out.mkdir(parents=True, exist_ok=True)
    found = Evaluation(tuple(labels))
    with (out / "predictions.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["asked_with", "path", "truth", "guess", *labels])
        for corpus in sorted({example.corpus for example in chosen}):
            part = [e for e in chosen if e.corpus == corpus and e.path is not None]
            if part:
                _judge_corpus(found, recognizer, part, lines, split, writer)
                if robustness:
                    _judge_harmed(found, recognizer, part)
    found.rows.extend(_text_rows(recognizer, lines, split))
    (out / "metrics.json").write_text(json.dumps(found.as_dict(), indent=1) + "\n", encoding="utf-8")
    write_confusions(found, out / "confusion.png")
    return found


def _judge_corpus(
    found: Evaluation,
    recognizer: EmotionRecognizer,
    examples: Sequence[Example],
    lines: Sequence[Example],
    split: str,
    writer: Any,
) -> None:
    labels, corpus = recognizer.labels, examples[0].corpus

    def add(what: str, part: Sequence[Example], predictions: Sequence[Prediction], read: str) -> None:
        found.rows.append(_row(what, corpus, split, read, labels, part, predictions))

    def ask(what: str, texts: Sequence[str | None]) -> list[Prediction]:
        predictions = judge(recognizer, examples, texts)
        writer.writerows(_lines(what, examples, predictions, labels))
        return predictions

    alone = ask(ALONE, [None] * len(examples))
    add(ALONE, examples, alone, "audio")
    add(ALONE, examples, alone, "fused")
    for sex in sorted({example.sex for example in examples} - {""}):
        part = [row for row, example in enumerate(examples) if example.sex == sex]
        add(f"{ALONE}, {sex}", [examples[row] for row in part], [alone[row] for row in part], "audio")
    if worded := [example for example in examples if example.english]:
        own = judge(recognizer, worded, [example.english for example in worded])
        writer.writerows(_lines(OWN_WORDS, worded, own, labels))
        add(OWN_WORDS, worded, own, "fused")
    texts = _paired_texts(lines, labels)
    wanted = [true_label(example, labels) for example in examples]
    # Texts of the same label only where every label of the examples has some.
    if set(wanted) <= set(texts.labels):
        keys = [example.key for example in examples]
        matched = ask(MATCHED, [texts.draw(*pair) for pair in zip(keys, wanted, strict=True)])
        add(MATCHED, examples, matched, "fused")
        add(TEXT_ALONE, examples, matched, "text")
        others = [texts.others(label) for label in wanted]
        against = [
            ask(AGAINST, [texts.draw(key, names[turn]) for key, names in zip(keys, others, strict=True)])
            for turn in range(len(texts.labels) - 1)
        ]
        if against:
            found.conflicts[corpus] = conflicts(
                matched * len(against), [one for part in against for one in part]
            )


def _judge_harmed(found: Evaluation, recognizer: EmotionRecognizer, examples: Sequence[Example]) -> None:
    for harm in harms():
        predictions = judge(recognizer, examples, [None] * len(examples), harm.apply)
        figures_of = score(recognizer.labels, examples, predictions, "audio")
        found.harmed[examples[0].corpus, harm.name] = figures_of


def _paired_texts(lines: Sequence[Example], labels: Sequence[str]) -> PairedTexts:
    chosen = [line for line in lines if line.corpus == PAIRED_CORPUS] or list(lines)
    return PairedTexts(chosen, [true_label(line, labels) for line in chosen])


def _row(
    what: str,
    corpus: str,
    split: str,
    read: str,
    labels: Sequence[str],
    examples: Sequence[Example],
    predictions: Sequence[Prediction],
) -> EvaluationRow:
    truth, shares = _numbers(labels, examples), _chosen(predictions, read)
    return EvaluationRow(what, corpus, split, read, compute_metrics(truth, shares), trust(truth, shares))


def _numbers(labels: Sequence[str], examples: Sequence[Example]) -> npt.NDArray[np.int64]:
    return np.array([labels.index(true_label(example, labels)) for example in examples], dtype=np.int64)


def _chosen(predictions: Sequence[Prediction], read: str) -> Probabilities:
    chosen = {
        "fused": [prediction.probabilities for prediction in predictions],
        "audio": [prediction.audio_only for prediction in predictions],
        "text": [prediction.text_only for prediction in predictions],
    }[read]
    return np.array(chosen, dtype=np.float64)


def _of(examples: Iterable[Example], split: str, labels: Sequence[str]) -> list[Example]:
    return [e for e in examples if split in ("all", e.split) and true_label(e, labels) in labels]


def _text_rows(recognizer: EmotionRecognizer, lines: Sequence[Example], split: str) -> list[EvaluationRow]:
    """The text-only head on written dialogue; the sound is empty and that head does not hear it."""
    nothing = Clip(np.zeros(0, dtype=np.float32))
    rows = []
    for corpus in sorted({line.corpus for line in lines}):
        part = [line for line in lines if line.corpus == corpus]
        predictions = [
            prediction
            for start in range(0, len(part), 64)
            for prediction in recognizer.recognize(
                [EmotionInput(nothing, Transcript(line.words)) for line in part[start : start + 64]]
            )
        ]
        rows.append(_row(WORDS, corpus, split, "text", recognizer.labels, part, predictions))
    return rows


def write_confusions(found: Evaluation, file: Path) -> None:
    """Of sound alone, a panel for each corpus."""
    from .plots import confusion_figure, write_png  # a second to import, and only here

    panels = {
        row.corpus: np.array(row.metrics.confusion)
        for row in found.rows
        if row.what == ALONE and row.read == "audio"
    }
    write_png(confusion_figure(panels, found.labels, "Sound alone"), file)


def table(rows: Iterable[EvaluationRow]) -> str:
    """Markdown, one line a row."""
    lines = [
        "| asked with | corpus | split | posterior | clips | UA | WA | macro-F1 | ECE | by chance | NLL "
        "| Brier |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        f, t = row.metrics, row.trust
        numbers = (f.ua, f.wa, f.macro_f1, t.calibration_error, t.ece_if_calibrated, f.nll, f.brier)
        cells = [row.what, row.corpus, row.split, row.read, str(f.count), *(f"{n:.3f}" for n in numbers)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def corruption_table(found: Evaluation) -> str:
    """UA of sound alone by condition. Empty where nothing was harmed."""
    if not found.harmed:
        return ""
    corpora = list(dict.fromkeys(corpus for corpus, _ in found.harmed))
    lines = ["| sound alone | " + " | ".join(corpora) + " |", "|---" * (len(corpora) + 1) + "|"]
    for harm in dict.fromkeys(harm for _, harm in found.harmed):
        cells = [f"{found.harmed[corpus, harm].ua:.3f}" for corpus in corpora]
        lines.append(f"| {harm} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def conflict_table(found: Evaluation) -> str:
    """How often a text of another label changes the fused label. Empty where there were no texts."""
    if not found.conflicts:
        return ""
    lines = [
        f"| another text changes the label | audio confidence < {UNSURE:g} | > {SURE:g} |",
        "|---|---|---|",
    ]
    for corpus, one in found.conflicts.items():
        cells = [
            "no such clip" if share is None else f"{100 * share:.1f} % of {count}"
            for share, count in (
                (one.unsure, one.low_confidence_pairs),
                (one.sure, one.high_confidence_pairs),
            )
        ]
        lines.append(f"| {corpus} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def gain_list(found: Evaluation) -> str:
    """Markdown: what the words bring, on the same clips, in points of UA. Empty where there were none."""
    lines = []
    for corpus in dict.fromkeys(row.corpus for row in found.rows):
        alone, text = found.row(ALONE, corpus, "audio"), found.row(TEXT_ALONE, corpus, "text")
        own, matched = found.row(OWN_WORDS, corpus, "fused"), found.row(MATCHED, corpus, "fused")
        if alone and own and own.metrics.count == alone.metrics.count:
            gain = 100 * (own.metrics.ua - alone.metrics.ua)
            lines.append(f"- {corpus}, its own words: {gain:+.1f} points of UA over sound alone")
        if alone and matched and text:
            gain = 100 * (matched.metrics.ua - max(alone.metrics.ua, text.metrics.ua))
            lines.append(
                f"- {corpus}, texts of the same label (**inflated**): {gain:+.1f} over the better of the two"
            )
    return "Sound and words, on the same clips:\n\n" + "\n".join(lines) if lines else ""


def _lines(
    what: str, examples: Sequence[Example], predictions: Sequence[Prediction], labels: Sequence[str]
) -> Iterable[list[object]]:
    for example, prediction in zip(examples, predictions, strict=True):
        shares = [f"{p:.4f}" for p in prediction.probabilities]
        yield [what, example.key, true_label(example, labels), prediction.label, *shares]
