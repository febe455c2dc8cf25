"""Selective classification: what not answering gains, given a probability of error for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

COVERAGES: Final = (0.5, 0.75, 0.9)

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class SelectiveMetrics:
    """risk: share of errors of all predictions; at: of the most trusted share of them, for each of COVERAGES.

    closed: how much of the gap between a random order and a perfect one the area under the risk-coverage
    curve closes: 0 is chance, 1 perfect (Geifman, El-Yaniv, arXiv 1705.08500).
    """

    risk: float
    at: tuple[float, ...]
    closed: float


def selective_metrics(error_probability: Floats, wrong: Flags) -> SelectiveMetrics:
    """error_probability, wrong: (N,). Raises ValueError without predictions."""
    if not len(wrong):
        raise ValueError("expected predictions, got none")
    risks = risk_curve(error_probability, wrong)
    overall = float(wrong.mean())
    best = risk_curve(wrong.astype(np.float64), wrong)
    gap = overall - float(best.mean())
    closed = (overall - float(risks.mean())) / gap if gap > 0 else 1.0
    at = tuple(float(risks[max(0, round(share * len(wrong)) - 1)]) for share in COVERAGES)
    return SelectiveMetrics(overall, at, closed)


def risk_curve(error_probability: Floats, wrong: Flags) -> Floats:
    """(N,) share of errors among the n most trusted predictions, n = 1 .. N; ties count at their mean."""
    order = np.argsort(error_probability, kind="stable")
    ranked, hits = error_probability[order], wrong[order].astype(np.float64)
    _, group = np.unique(ranked, return_inverse=True)
    hits = (np.bincount(group, hits) / np.bincount(group))[group]
    risks: Floats = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return risks


def threshold_for_risk(
    error_probability: Floats, wrong: Flags, groups: Sequence[str], risk: float
) -> tuple[float, dict[str, float]]:
    """The largest threshold at which every group errs in at most `risk` of what is accepted, and the coverage
    of each group there.

    groups: (N,) corpora. A group of which nothing is accepted errs in nothing.
    """
    names = sorted(set(groups))
    member = np.array(groups)
    candidates = np.unique(np.quantile(error_probability, np.linspace(0, 1, 401)))
    chosen = float(candidates[0])
    for candidate in candidates[::-1]:
        accepted = error_probability <= candidate
        worst = max(
            float(wrong[accepted & (member == name)].mean()) if (accepted & (member == name)).any() else 0.0
            for name in names
        )
        if worst <= risk:
            chosen = float(candidate)
            break
    coverage = {name: float((error_probability[member == name] <= chosen).mean()) for name in names}
    return chosen, coverage
