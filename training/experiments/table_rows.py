"""The lines of the papers' table: what each is called, what it varies, and which are compared."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final, Literal, get_args

from ..evaluation.predictions import FoldPredictions

Group = Literal["baseline", "contrastive", "fusion", "granularity", "modality", "words", "other"]
GROUPS: Final[tuple[Group, ...]] = get_args(Group)
"""In the order of the table."""

BASELINE: Final = "baseline"
CONTINUED: Final = "continued (alpha = 0)"
"""The baseline trained on as long as the contrastive rows, without their term: what time alone brings."""

GOLD: Final = "gold words"
"""The baseline with what was really said in place of what the transcriber understood."""

OBJECTIVES: Final = ("bce", "infonce", "mine")
BY_VALIDATION: Final = "alpha by validation"
ANY_BY_VALIDATION: Final = "objective and alpha by validation"

_NAMES: Final[dict[Group, tuple[str, ...]]] = {
    "fusion": ("early fusion", "late fusion", "early and late fusion"),
    "granularity": ("phone", "syllable", "word", "all granularities"),
    "modality": ("audio alone", "text alone"),
    "words": (GOLD,),
}
_CONTRASTIVE: Final = re.compile(rf"({'|'.join(OBJECTIVES)}) alpha=([0-9.]+)")


@dataclass(frozen=True, slots=True)
class TableRow:
    """A line of the table. objective, alpha: of a contrastive row; alpha None where validation chose it."""

    name: str
    group: Group
    objective: str | None = None
    alpha: float | None = None


def paper_rows(alphas: Sequence[float], *, gold: bool = False) -> list[TableRow]:
    """Every line that is trained, in the order of the table.

    gold: with the one that reads the gold words, where the others read recognized ones.
    """
    contrastive = [f"{objective} alpha={alpha:g}" for objective in OBJECTIVES for alpha in alphas]
    others = [name for group, names in _NAMES.items() for name in names if gold or group != "words"]
    return [parse_row(name) for name in (BASELINE, CONTINUED, *contrastive, *others)]


def parse_row(name: str) -> TableRow:
    """What the name of a line says; the group `other` for a name that is none of the papers'."""
    if name in (BASELINE, CONTINUED):
        return TableRow(name, "baseline", alpha=0.0)
    if found := _CONTRASTIVE.fullmatch(name):
        return TableRow(name, "contrastive", found[1], float(found[2]))
    if name.endswith(BY_VALIDATION):
        objective = name.split(",")[0]
        return TableRow(name, "contrastive", objective if objective in OBJECTIVES else None)
    groups = [group for group, names in _NAMES.items() if name in names]
    return TableRow(name, groups[0] if groups else "other")


def in_table_order(names: Iterable[str]) -> list[str]:
    """Each name once, as in the papers' table; what validation chose behind what it chose from."""

    def place(name: str) -> tuple[int, int, float]:
        row = parse_row(name)
        if row.group == "contrastive":
            objective = OBJECTIVES.index(row.objective) if row.objective else len(OBJECTIVES)
            return GROUPS.index(row.group), objective, 1.0 if row.alpha is None else row.alpha
        known = (BASELINE, CONTINUED) if row.group == "baseline" else _NAMES.get(row.group, ())
        return GROUPS.index(row.group), known.index(name) if name in known else 0, 0.0

    return sorted(dict.fromkeys(names), key=place)


def chosen_by_validation(results: Iterable[FoldPredictions]) -> dict[str, list[FoldPredictions]]:
    """One more line for every objective, and one over all: of each fold and seed the fit with the best
    validation UA, the least alpha among equals. No test figure has a say, so these lines may be quoted.

    The outcomes keep the row that they are from. A line with nothing to choose from is left out.
    """
    contrastive = [result for result in results if parse_row(result.row).group == "contrastive"]
    chosen = {}
    for objective in OBJECTIVES:
        part = [result for result in contrastive if parse_row(result.row).objective == objective]
        if len({result.row for result in part}) > 1:
            chosen[f"{objective}, {BY_VALIDATION}"] = _best(part)
    if len({parse_row(result.row).objective for result in contrastive}) > 1:
        chosen[ANY_BY_VALIDATION] = _best(contrastive)
    return chosen


def paper_comparisons(names: Iterable[str]) -> list[tuple[str, str]]:
    """Every contrastive line against the baseline and the baseline trained on; gold words against recognized.

    Of what is there.
    """
    names = in_table_order(names)
    against = [name for name in (BASELINE, CONTINUED) if name in names]
    pairs = [(name, other) for name in names if parse_row(name).group == "contrastive" for other in against]
    words = [(name, BASELINE) for name in names if name == GOLD and BASELINE in names]
    return pairs + words


def _best(results: Sequence[FoldPredictions]) -> list[FoldPredictions]:
    def fit(result: FoldPredictions) -> tuple[str, int]:
        return result.fold, result.seed

    def rank(result: FoldPredictions) -> tuple[float, float]:
        return result.validation_ua, -(parse_row(result.row).alpha or 0.0)

    return [max(group, key=rank) for _, group in groupby(sorted(results, key=fit), key=fit)]
