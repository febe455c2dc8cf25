"""The rows of the papers' table: their names, what each varies, and which are compared."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final, Literal, get_args

from ..evaluation.predictions import FoldPredictions

Group = Literal["baseline", "contrastive", "fusion", "granularity", "modality", "transcripts", "other"]
GROUPS: Final[tuple[Group, ...]] = get_args(Group)
"""In the order of the table."""

BASELINE: Final = "baseline"
CONTINUED: Final = "continued (alpha = 0)"
"""The baseline trained for as long as the contrastive rows, without their loss term: the effect of time
alone.
"""

GOLD: Final = "gold transcripts"
"""The baseline with the corpus's own transcripts in place of the recognized ones."""

OBJECTIVES: Final = ("bce", "infonce", "mine")
BY_VALIDATION: Final = "alpha by validation"
ANY_BY_VALIDATION: Final = "objective and alpha by validation"

_NAMES: Final[dict[Group, tuple[str, ...]]] = {
    "fusion": ("early fusion", "late fusion", "early and late fusion"),
    "granularity": ("phone", "syllable", "word", "all granularities"),
    "modality": ("audio only", "text only"),
    "transcripts": (GOLD,),
}
_CONTRASTIVE: Final = re.compile(rf"({'|'.join(OBJECTIVES)}) alpha=([0-9.]+)")


@dataclass(frozen=True, slots=True)
class TableRow:
    """A row of the table. objective, alpha: of a contrastive row; alpha None where validation chose it."""

    name: str
    group: Group
    objective: str | None = None
    alpha: float | None = None


def paper_rows(alphas: Sequence[float], *, gold: bool = False) -> list[TableRow]:
    """Every row that is trained, in the order of the table.

    gold: include the row with gold transcripts, where the others use recognized ones.
    """
    contrastive = [f"{objective} alpha={alpha:g}" for objective in OBJECTIVES for alpha in alphas]
    others = [name for group, names in _NAMES.items() for name in names if gold or group != "transcripts"]
    return [parse_row(name) for name in (BASELINE, CONTINUED, *contrastive, *others)]


def parse_row(name: str) -> TableRow:
    """The row of a name; group `other` for a name that is not one of the papers'."""
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
    """Each name once, in the order of the papers' table; a row chosen by validation follows its
    candidates.
    """

    def sort_key(name: str) -> tuple[int, int, float]:
        row = parse_row(name)
        if row.group == "contrastive":
            objective = OBJECTIVES.index(row.objective) if row.objective else len(OBJECTIVES)
            return GROUPS.index(row.group), objective, 1.0 if row.alpha is None else row.alpha
        known = (BASELINE, CONTINUED) if row.group == "baseline" else _NAMES.get(row.group, ())
        return GROUPS.index(row.group), known.index(name) if name in known else 0, 0.0

    return sorted(dict.fromkeys(names), key=sort_key)


def chosen_by_validation(results: Iterable[FoldPredictions]) -> dict[str, list[FoldPredictions]]:
    """An additional row for every objective, and one over all: for each fold and seed the fit with the best
    validation UA, the smallest alpha among equals. Test metrics play no part, so these rows may be quoted.

    The predictions keep the name of their original row. A row with nothing to choose from is left out.
    """
    contrastive = [result for result in results if parse_row(result.row).group == "contrastive"]
    chosen = {}
    for objective in OBJECTIVES:
        of_objective = [result for result in contrastive if parse_row(result.row).objective == objective]
        if len({result.row for result in of_objective}) > 1:
            chosen[f"{objective}, {BY_VALIDATION}"] = _best(of_objective)
    if len({parse_row(result.row).objective for result in contrastive}) > 1:
        chosen[ANY_BY_VALIDATION] = _best(contrastive)
    return chosen


def paper_comparisons(names: Iterable[str]) -> list[tuple[str, str]]:
    """The pairs to compare, among the names given: every contrastive row against the baseline and the
    continued baseline, gold transcripts against recognized ones.
    """
    names = in_table_order(names)
    against = [name for name in (BASELINE, CONTINUED) if name in names]
    pairs = [(name, other) for name in names if parse_row(name).group == "contrastive" for other in against]
    transcripts = [(name, BASELINE) for name in names if name == GOLD and BASELINE in names]
    return pairs + transcripts


def _best(results: Sequence[FoldPredictions]) -> list[FoldPredictions]:
    def fold_and_seed(result: FoldPredictions) -> tuple[str, int]:
        return result.fold, result.seed

    def rank(result: FoldPredictions) -> tuple[float, float]:
        return result.validation_ua, -(parse_row(result.row).alpha or 0.0)

    return [
        max(group, key=rank) for _, group in groupby(sorted(results, key=fold_and_seed), key=fold_and_seed)
    ]
