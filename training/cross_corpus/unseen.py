"""The table of leave-one-corpus-out: the recipe on held-out people, rooms and languages."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from emostream.models import LABELS
from emostream.models.baseline import BaselineSettings

from ..evaluation.metrics import calibration_error, confusion_matrix, confusion_metric
from .choice import Choice, StreamGain, largest_loss
from .clips import NEUTRAL
from .doubts import Doubts, doubts_table, evaluate_doubts
from .folds import EvaluatedPredictions
from .nested import NestedResults
from .states import Views

RESAMPLES: Final = 2000
_FILE: Final = "unseen.csv"


@dataclass(frozen=True, slots=True)
class UnseenRow:
    """One corpus under one condition. interval: of ua, 95 %, by bootstrap over speakers.

    cold_ua, cold_accuracy: of the same utterances without a baseline. neutral: share of the neutral clips
    that are called neutral.
    """

    corpus: str
    condition: str
    utterances: int
    speakers: int
    ua: float
    interval: tuple[float, float]
    accuracy: float
    cold_ua: float
    cold_accuracy: float
    neutral: float
    ece: float


def evaluated_row(evaluated: EvaluatedPredictions) -> UnseenRow:
    """The figures of one corpus under one condition."""
    truth, predicted, cold = evaluated.truth, evaluated.predicted, evaluated.cold.argmax(1)
    speakers = [clip.speaker for clip in evaluated.clips]
    neutral = truth == NEUTRAL
    return UnseenRow(
        evaluated.corpus,
        evaluated.condition,
        len(truth),
        len(set(speakers)),
        _metric(truth, predicted, "ua"),
        bootstrap_ua(truth, predicted, speakers),
        _metric(truth, predicted, "wa"),
        _metric(truth, cold, "ua"),
        _metric(truth, cold, "wa"),
        float((predicted[neutral] == NEUTRAL).mean()) if neutral.any() else float("nan"),
        calibration_error(truth, evaluated.probabilities, binning="equal mass"),
    )


def _metric(truth: npt.NDArray[np.int64], predicted: npt.NDArray[np.int64], name: str) -> float:
    confusion = confusion_matrix(truth, predicted, len(LABELS))
    return float(confusion_metric(confusion, "ua" if name == "ua" else "wa"))


def bootstrap_ua(
    truth: npt.NDArray[np.int64], predicted: npt.NDArray[np.int64], speakers: Sequence[str]
) -> tuple[float, float]:
    """The 95 % interval of UA over resamples of the speakers."""
    names, unit = np.unique(np.array(speakers), return_inverse=True)
    classes = len(LABELS)
    confusions = np.zeros((len(names), classes, classes))
    np.add.at(confusions, (unit, truth, predicted), 1)
    rng = np.random.default_rng(0)
    draws = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=RESAMPLES)
    values = confusion_metric(np.tensordot(draws.astype(np.float64), confusions, axes=1), "ua")
    low, high = np.quantile(values, (0.025, 0.975))
    return float(low), float(high)


@dataclass(frozen=True, slots=True)
class UnseenReport:
    """rows, doubts: each corpus by what was chosen on the others. choices: by corpus. choice: of the
    checkpoint; gains: of every candidate for its baseline, by kind of stream.
    """

    rows: Sequence[UnseenRow]
    doubts: Doubts
    choices: Mapping[str, Choice]
    choice: Choice
    gains: Mapping[BaselineSettings, Mapping[str, StreamGain]]

    @classmethod
    def of(cls, results: NestedResults, views: Views) -> UnseenReport:
        rows = [
            evaluated_row(part) for fold in results.folds for part in fold.outer if part.corpus == fold.corpus
        ]
        choices = {fold.corpus: fold.choice for fold in results.folds}
        return cls(rows, evaluate_doubts(results, views), choices, results.choice, results.gains)

    def tables(self) -> str:
        """Markdown."""
        return "\n\n".join([unseen_table(self.rows), doubts_table(self.doubts), choice_table(self)])


def write_report(folder: Path, report: UnseenReport, title: str) -> Path:
    """table.md and unseen.csv; the path of the former."""
    folder.mkdir(parents=True, exist_ok=True)
    write_rows(folder / _FILE, report.rows)
    path = folder / "table.md"
    path.write_text(f"# {title}\n\n{report.tables()}\n", encoding="utf-8")
    return path


def write_rows(path: Path, rows: Sequence[UnseenRow], **more: Sequence[object]) -> None:
    """A CSV file. more: further columns, by name, written first."""
    names = [name for name in UnseenRow.__slots__ if name != "interval"]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*more, *names, "low", "high"])
        for number, row in enumerate(rows):
            further = [column[number] for column in more.values()]
            writer.writerow([*further, *(getattr(row, name) for name in names), *row.interval])


def unseen_table(rows: Sequence[UnseenRow]) -> str:
    """Markdown."""
    lines = [
        "| left out | condition | utterances | UA (95 %, speakers) | accuracy | without a baseline, UA | "
        "accuracy | neutral called neutral | ECE |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row.corpus} | {row.condition} | {row.utterances} | {row.ua:.3f} ({row.interval[0]:.3f} to "
        f"{row.interval[1]:.3f}) | {row.accuracy:.3f} | {row.cold_ua:.3f} | {row.cold_accuracy:.3f} | "
        f"{row.neutral:.3f} | {row.ece:.3f} |"
        for row in rows
    ]
    for condition in dict.fromkeys(row.condition for row in rows):
        same = [row for row in rows if row.condition == condition]
        means = [
            float(np.nanmean([getattr(row, name) for row in same]))
            for name in ("ua", "accuracy", "cold_ua", "cold_accuracy", "neutral", "ece")
        ]
        lines.append(
            f"| **mean** | {condition} | {sum(row.utterances for row in same)} | **{means[0]:.3f}** | "
            + " | ".join(f"{value:.3f}" for value in means[1:])
            + " |"
        )
    return "\n".join(lines)


def choice_table(report: UnseenReport) -> str:
    """Markdown: what was chosen for each corpus, and what the candidates for the checkpoint gain."""
    lines = [f"Chosen without {corpus}: {choice}." for corpus, choice in report.choices.items()]
    lines += [f"Chosen for the checkpoint: {report.choice}.", ""]
    kinds = list(next(iter(report.gains.values())))
    lines.append(
        "| n0, weight by p(neutral), largest shift | " + " | ".join(kinds) + " | largest loss of UA |"
    )
    lines.append("|---" * (len(kinds) + 2) + "|")
    for settings, gains in report.gains.items():
        cells = [f"{gains[kind].ua:+.3f} / {gains[kind].accuracy:+.3f}" for kind in kinds]
        values = settings.prior_count, settings.neutral_weight, settings.max_shift
        name = ", ".join(f"{value:g}" for value in values)
        name = f"**{name}**" if settings == report.choice.baseline else name
        lines.append(f"| {name} | " + " | ".join(cells) + f" | {largest_loss(gains):+.3f} |")
    return "\n".join(lines)
