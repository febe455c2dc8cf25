"""The table of leave-one-corpus-out: the recipe on held-out people, rooms and languages."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from emostream.models import LABELS
from emostream.models.reliability import ErrorPredictor

from ..evaluation.metrics import calibration_error, confusion_matrix, confusion_metric
from .clips import EVALUATED, NEUTRAL, NOISE, ORDINARY
from .errors import ErrorExamples, error_probabilities, fit_error_predictor, reason_lifts
from .folds import EvaluatedPredictions
from .selective import COVERAGES, SelectiveMetrics, selective_metrics
from .states import Views, held_out_noise

RESAMPLES: Final = 2000
WORST_RISK: Final = 0.25
"""Share of errors that the threshold allows among what is accepted, on the worst corpus."""
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


def unseen_rows(results: Sequence[EvaluatedPredictions]) -> list[UnseenRow]:
    """A row for each corpus with labels and condition."""
    return [_row(evaluated) for evaluated in results if evaluated.corpus in EVALUATED]


def _row(evaluated: EvaluatedPredictions) -> UnseenRow:
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
class Doubts:
    """How well errors are foreseen. Each corpus by a predictor that was fitted on the others.

    selective: by corpus. ordinary_accepted: ordinary speech with another label than neutral that is accepted.
    noise_accepted: noises that are accepted at all. predictor: fitted on all, for the checkpoint; coverage:
    its share of accepted utterances by corpus; lifts: of its reasons.
    """

    selective: Mapping[str, SelectiveMetrics]
    ordinary_neutral: float
    ordinary_accepted: float
    noise_accepted: float
    predictor: ErrorPredictor
    coverage: Mapping[str, float]
    risk: Mapping[str, float]
    lifts: Mapping[str, float]


def evaluate_doubts(results: Sequence[EvaluatedPredictions], views: Views) -> Doubts:
    """results: of all folds, cold and in streams."""
    parts = {
        (evaluated.corpus, evaluated.condition, index): evaluated.error_examples(views)
        for index, evaluated in enumerate(results)
    }
    fitted = [
        (results[index], _training_part(results[index], examples))
        for (_, _, index), examples in parts.items()
    ]
    everything = ErrorExamples.joined([part for _, part in fitted if len(part.wrong)])
    named = sorted({evaluated.corpus for evaluated in results} & set(EVALUATED))
    predictor = fit_error_predictor(everything, worst_risk=WORST_RISK, controlled=named)
    selective, coverage, risk = {}, {}, {}
    for corpus in named:
        others = [part for evaluated, part in fitted if evaluated.corpus != corpus and len(part.wrong)]
        rest = [name for name in named if name != corpus]
        own = ErrorExamples.joined([part for evaluated, part in fitted if evaluated.corpus == corpus])
        fair = (
            fit_error_predictor(ErrorExamples.joined(others), worst_risk=WORST_RISK, controlled=rest)
            if rest
            else predictor
        )
        wrong_p = error_probabilities(fair, own)
        selective[corpus] = selective_metrics(wrong_p, own.wrong)
        accepted = wrong_p <= fair.threshold
        coverage[corpus] = float(accepted.mean())
        risk[corpus] = float(own.wrong[accepted].mean()) if accepted.any() else 0.0
    ordinary = [evaluated for evaluated in results if evaluated.corpus == ORDINARY]
    noise = [evaluated for evaluated in results if evaluated.corpus == NOISE]
    return Doubts(
        selective,
        float(np.mean([(evaluated.predicted == NEUTRAL).mean() for evaluated in ordinary]))
        if ordinary
        else 1.0,
        _accepted(predictor, ordinary, views, lambda evaluated: evaluated.wrong),
        _accepted(predictor, noise, views, _held_out),
        predictor,
        coverage,
        risk,
        reason_lifts(predictor, everything.of(named)),
    )


def _training_part(evaluated: EvaluatedPredictions, examples: ErrorExamples) -> ErrorExamples:
    """All of it but the noises that are kept for the figures."""
    if evaluated.corpus != NOISE:
        return examples
    rows = ~_held_out(evaluated)
    return ErrorExamples(
        examples.features[rows], examples.wrong[rows], tuple(np.array(examples.groups)[rows].tolist())
    )


def _held_out(evaluated: EvaluatedPredictions) -> npt.NDArray[np.bool_]:
    return np.array([held_out_noise(clip) for clip in evaluated.clips], dtype=np.bool_)


def _accepted(
    predictor: ErrorPredictor,
    results: Sequence[EvaluatedPredictions],
    views: Views,
    counted: Callable[[EvaluatedPredictions], npt.NDArray[np.bool_]],
) -> float:
    """The share of accepted predictions that `counted` selects: of all, or of the noises that it selects."""
    hits, total = 0, 0
    for evaluated in results:
        chosen = counted(evaluated)
        accepted = error_probabilities(predictor, evaluated.error_examples(views)) <= predictor.threshold
        hits += int((accepted & chosen).sum())
        total += int(chosen.sum()) if evaluated.corpus == NOISE else len(chosen)
    return hits / total if total else 0.0


def write_report(folder: Path, rows: Sequence[UnseenRow], doubts: Doubts, title: str) -> Path:
    """table.md and unseen.csv; the path of the former."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / _FILE).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*(name for name in UnseenRow.__slots__ if name != "interval"), "low", "high"])
        for row in rows:
            values = [getattr(row, name) for name in UnseenRow.__slots__ if name != "interval"]
            writer.writerow([*values, *row.interval])
    path = folder / "table.md"
    path.write_text(f"# {title}\n\n{unseen_table(rows)}\n\n{doubts_table(doubts)}\n", encoding="utf-8")
    return path


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


def doubts_table(doubts: Doubts) -> str:
    """Markdown."""
    at = " | ".join(f"risk at {share:.0%}" for share in COVERAGES)
    lines = [
        f"| left out | risk | {at} | gap closed | accepted | risk of the accepted |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for corpus, metrics in doubts.selective.items():
        risks = " | ".join(f"{risk:.3f}" for risk in metrics.at)
        lines.append(
            f"| {corpus} | {metrics.risk:.3f} | {risks} | {metrics.closed:.3f} | "
            f"{doubts.coverage[corpus]:.3f} | {doubts.risk[corpus]:.3f} |"
        )
    lifts = ", ".join(f"{reason} {lift:.2f}" for reason, lift in doubts.lifts.items())
    lines += [
        "",
        f"Ordinary speech of speakers who were not trained on: called neutral {doubts.ordinary_neutral:.3f}, "
        f"accepted with another label {doubts.ordinary_accepted:.3f}. Noises that nothing was fitted on, "
        f"accepted: {doubts.noise_accepted:.3f}. Lift of the reasons: {lifts}.",
    ]
    return "\n".join(lines)
