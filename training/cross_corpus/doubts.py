"""How well errors are foreseen on corpora left out, and the predictor of errors for the checkpoint."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from emostream.models.reliability import ErrorPredictor

from .clips import EVALUATED, NEUTRAL, NOISE, ORDINARY
from .errors import ErrorExamples, error_probabilities, fit_error_predictor, reason_lifts
from .folds import EvaluatedPredictions
from .nested import NestedFold, NestedResults
from .selective import COVERAGES, SelectiveMetrics, selective_metrics
from .states import Views

WORST_RISK: Final = 0.25
"""Share of errors that the threshold allows among what is accepted, on the worst corpus."""


@dataclass(frozen=True, slots=True)
class Doubts:
    """Each corpus by a predictor and a threshold that were fitted on the inner folds without it. NaN: there
    was no such sound.

    selective, coverage (share of accepted utterances), risk (of the accepted): by corpus. ordinary_neutral,
    ordinary_accepted: share of ordinary speech that is called neutral, that is accepted with another label.
    noise_accepted: noises that are accepted at all. predictor: for the checkpoint; lifts: of its reasons.
    """

    selective: Mapping[str, SelectiveMetrics]
    ordinary_neutral: float
    ordinary_accepted: float
    noise_accepted: float
    predictor: ErrorPredictor
    coverage: Mapping[str, float]
    risk: Mapping[str, float]
    lifts: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class _FoldDoubts:
    metrics: SelectiveMetrics
    coverage: float
    risk: float
    ordinary_neutral: float
    ordinary_accepted: float
    noise_accepted: float


def evaluate_doubts(results: NestedResults, views: Views) -> Doubts:
    """Of all folds; the checkpoint's predictor is fitted on `results.predictions`."""
    by_corpus = {fold.corpus: _of_fold(fold, views) for fold in results.folds}
    predictor, examples = _fitted(results.predictions, views)
    named = [corpus for corpus in EVALUATED if corpus in by_corpus]

    def mean(name: str) -> float:
        values = [getattr(doubts, name) for doubts in by_corpus.values()]
        measured = [value for value in values if not math.isnan(value)]
        return float(np.mean(measured)) if measured else math.nan

    return Doubts(
        {name: by_corpus[name].metrics for name in named},
        mean("ordinary_neutral"),
        mean("ordinary_accepted"),
        mean("noise_accepted"),
        predictor,
        {name: by_corpus[name].coverage for name in named},
        {name: by_corpus[name].risk for name in named},
        reason_lifts(predictor, examples.of(named)),
    )


def _fitted(
    predictions: Sequence[EvaluatedPredictions], views: Views
) -> tuple[ErrorPredictor, ErrorExamples]:
    examples = ErrorExamples.joined([part.error_examples(views) for part in predictions])
    controlled = sorted(set(examples.groups) & set(EVALUATED))
    return fit_error_predictor(examples, worst_risk=WORST_RISK, controlled=controlled), examples


def _of_fold(fold: NestedFold, views: Views) -> _FoldDoubts:
    predictor, _ = _fitted(fold.inner, views)
    parts: dict[str, list[EvaluatedPredictions]] = {}
    for part in fold.outer:
        parts.setdefault(part.corpus, []).append(part)
    own = ErrorExamples.joined([part.error_examples(views) for part in parts[fold.corpus]])
    wrong_p = error_probabilities(predictor, own)
    accepted = wrong_p <= predictor.threshold
    calm = {
        name: _wrong_and_accepted(predictor, parts[name], views) if name in parts else math.nan
        for name in (ORDINARY, NOISE)
    }
    ordinary = [part.predicted == NEUTRAL for part in parts.get(ORDINARY, [])]
    return _FoldDoubts(
        selective_metrics(wrong_p, own.wrong),
        float(accepted.mean()),
        float(own.wrong[accepted].mean()) if accepted.any() else 0.0,
        float(np.concatenate(ordinary).mean()) if ordinary else math.nan,
        calm[ORDINARY],
        calm[NOISE],
    )


def _wrong_and_accepted(
    predictor: ErrorPredictor, parts: Sequence[EvaluatedPredictions], views: Views
) -> float:
    examples = ErrorExamples.joined([part.error_examples(views) for part in parts])
    accepted = error_probabilities(predictor, examples) <= predictor.threshold
    return float((accepted & examples.wrong).mean())


def _share(value: float) -> str:
    return "not measured" if math.isnan(value) else f"{value:.3f}"


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
    found = list(doubts.selective.values())
    means = [np.mean([m.risk for m in found]), *np.mean([m.at for m in found], axis=0)]
    means += [np.mean([m.closed for m in found])]
    means += [np.mean(list(doubts.coverage.values())), np.mean(list(doubts.risk.values()))]
    lines.append("| **mean** | " + " | ".join(f"{value:.3f}" for value in means) + " |")
    lifts = ", ".join(f"{reason} {lift:.2f}" for reason, lift in doubts.lifts.items())
    lines += [
        "",
        "Ordinary speech of speakers on whom nothing was trained or chosen: called neutral "
        f"{_share(doubts.ordinary_neutral)}, accepted with another label {_share(doubts.ordinary_accepted)}. "
        f"Noises on which nothing was fitted, accepted: {_share(doubts.noise_accepted)}. "
        f"Lift of the checkpoint's reasons: {lifts}.",
    ]
    return "\n".join(lines)
