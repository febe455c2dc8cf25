"""The rows of the papers' table: their names, what each varies, and which are compared."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final, Literal, get_args

import numpy as np

from ..evaluation.predictions import FoldPredictions

Group = Literal[
    "baseline", "contrastive", "fusion", "granularity", "modality", "transcripts", "encoders", "other"
]
GROUPS: Final[tuple[Group, ...]] = get_args(Group)
"""In the order of the table."""

BASELINE: Final = "baseline"
CONTINUED: Final = "continued (alpha = 0)"
"""The baseline trained for as long as the contrastive rows, without their loss term: the effect of time
alone.
"""

CONCAT: Final = "concatenation"
"""The codes of audio and text, concatenated and classified: the baseline of contrastive regularization's own
paper.
"""
CONCAT_CONTINUED: Final = f"{CONCAT}, {CONTINUED}"

EARLY, LATE, BOTH = "early fusion", "late fusion", "early and late fusion"
AUDIO_ONLY, TEXT_ONLY = "audio only", "text only"
PROBE: Final = "audio only, linear probe"
"""Logistic regression on pooled layers of the frozen audio encoder; see `probe_row`."""
GOLD: Final = "gold transcripts"
"""The baseline with the corpus's own transcripts in place of the recognized ones."""
RECOGNIZED: Final = "recognized transcripts"
"""The reverse: a recognizer's words where the other rows have the corpus's own."""

FROZEN, LORA, FINE_TUNED = "frozen encoders", "LoRA", "fine-tuned encoders"
"""What is trained of the encoders: nothing, adapters, or their weights."""

OBJECTIVES: Final = ("bce", "infonce", "mine")
BY_VALIDATION: Final = "alpha by validation"
ANY_BY_VALIDATION: Final = f"objective and {BY_VALIDATION}"

GRANULARITIES: Final = ("frame", "phone", "syllable", "word")
_PLUS: Final = " + "
CUMULATIVE: Final = tuple(_PLUS.join(GRANULARITIES[:count]) for count in range(1, len(GRANULARITIES) + 1))
"""frame, frame + phone, and so on: the granularities of multi-level fusion, one more in each row."""

_NAMES: Final[dict[Group, tuple[str, ...]]] = {
    "fusion": (EARLY, LATE, BOTH),
    "granularity": CUMULATIVE,
    "modality": (AUDIO_ONLY, PROBE, TEXT_ONLY),
    "transcripts": (GOLD, RECOGNIZED),
    "encoders": (FROZEN, LORA, FINE_TUNED),
}
_CONTRASTIVE: Final = re.compile(rf"(?:{CONCAT}, )?({'|'.join(OBJECTIVES)}) alpha=([0-9.]+)")


@dataclass(frozen=True, slots=True)
class TableRow:
    """A row of the table. objective, alpha: of a contrastive row; alpha None where validation chose it."""

    name: str
    group: Group
    objective: str | None = None
    alpha: float | None = None

    @property
    def base(self) -> str | None:
        """The row from whose weights it starts; None where it starts from the pretrained encoders."""
        if self.group != "contrastive" and self.name not in (CONTINUED, CONCAT_CONTINUED):
            return None
        return CONCAT if self.name.startswith(CONCAT) else BASELINE


def paper_rows(
    alphas: Sequence[float],
    fused_alphas: Sequence[float] = (),
    *,
    transcripts: Sequence[str] = (),
    fine_tuned: bool = False,
) -> list[TableRow]:
    """Every row that is trained, in the order of the table.

    alphas: of the contrastive rows on the concatenation. fused_alphas: of those on the baseline. transcripts:
    the rows with other words than the baseline's, GOLD or RECOGNIZED. fine_tuned: whether the encoders learn,
    so that how they do can be compared.
    """
    contrastive = [f"{objective} alpha={alpha:g}" for objective in OBJECTIVES for alpha in fused_alphas]
    contrastive += [f"{CONCAT}, {objective} alpha={alpha:g}" for objective in OBJECTIVES for alpha in alphas]
    others = [
        name
        for group, names in _NAMES.items()
        for name in names
        if (group != "transcripts" or name in transcripts) and (group != "encoders" or fine_tuned)
    ]
    return [
        parse_row(name) for name in (BASELINE, CONTINUED, CONCAT, CONCAT_CONTINUED, *contrastive, *others)
    ]


def parse_row(name: str) -> TableRow:
    """The row of a name; group `other` for a name that is not one of the papers'."""
    if name in (BASELINE, CONTINUED, CONCAT, CONCAT_CONTINUED):
        return TableRow(name, "baseline", alpha=0.0)
    if found := _CONTRASTIVE.fullmatch(name):
        return TableRow(name, "contrastive", found[1], float(found[2]))
    if name.endswith(BY_VALIDATION):
        objective = name.removeprefix(f"{CONCAT}, ").split(",")[0]
        return TableRow(name, "contrastive", objective if objective in OBJECTIVES else None)
    if granularities_of(name):
        return TableRow(name, "granularity")
    groups = [group for group, names in _NAMES.items() if name in names]
    return TableRow(name, groups[0] if groups else "other")


def granularities_of(name: str) -> tuple[str, ...]:
    """The granularities of a row such as `frame + word`; empty for a row of another kind."""
    parts = tuple(name.split(_PLUS))
    return parts if set(parts) <= set(GRANULARITIES) else ()


def in_table_order(names: Iterable[str]) -> list[str]:
    """Each name once, in the order of the papers' table; a row chosen by validation follows its
    candidates.
    """

    def sort_key(name: str) -> tuple[int, int, int, float]:
        row = parse_row(name)
        if row.group == "contrastive":
            objective = OBJECTIVES.index(row.objective) if row.objective else len(OBJECTIVES)
            alpha = 1.0 if row.alpha is None else row.alpha
            return GROUPS.index(row.group), int(row.base == CONCAT), objective, alpha
        if row.group == "granularity":
            parts = granularities_of(name)
            return GROUPS.index(row.group), len(parts), GRANULARITIES.index(parts[-1]), 0.0
        named = (BASELINE, CONTINUED, CONCAT, CONCAT_CONTINUED, *_NAMES.get(row.group, ()))
        return GROUPS.index(row.group), named.index(name) if name in named else 0, 0, 0.0

    return sorted(dict.fromkeys(names), key=sort_key)


def chosen_by_validation(results: Iterable[FoldPredictions]) -> dict[str, list[FoldPredictions]]:
    """An additional row for every objective, and one over all, on either base: for each fold and seed the
    fit with the best validation UA, the smallest alpha among equals. Test metrics play no part, so these rows
    may be quoted.

    The predictions keep the name of their original row. A row with nothing to choose from is left out.
    """
    contrastive = [result for result in results if parse_row(result.row).group == "contrastive"]
    chosen = {}
    for base, prefix in ((BASELINE, ""), (CONCAT, f"{CONCAT}, ")):
        of_base = [result for result in contrastive if parse_row(result.row).base == base]
        for objective in OBJECTIVES:
            of_objective = [result for result in of_base if parse_row(result.row).objective == objective]
            if len({result.row for result in of_objective}) > 1:
                chosen[f"{prefix}{objective}, {BY_VALIDATION}"] = _best(of_objective)
        if len({parse_row(result.row).objective for result in of_base}) > 1:
            chosen[f"{prefix}{ANY_BY_VALIDATION}"] = _best(of_base)
    return chosen


def swept_rows(rows: Sequence[TableRow], sweep: Iterable[FoldPredictions]) -> list[TableRow]:
    """The rows for a further seed of a fold: of each objective on each base only the alpha that validated
    best on the seeds of the sweep.

    sweep: their predictions of this fold. The mean over its seeds decides, the smallest alpha among equals.
    """
    scores: dict[str, list[float]] = {}
    for result in sweep:
        scores.setdefault(result.row, []).append(result.validation_ua)
    best: dict[tuple[str | None, str | None], TableRow] = {}
    for row in sorted(rows, key=lambda row: row.alpha or 0.0):
        if row.group == "contrastive" and row.name in scores:
            kept = best.setdefault((row.base, row.objective), row)
            if np.mean(scores[row.name]) > np.mean(scores[kept.name]):
                best[row.base, row.objective] = row
    return [row for row in rows if row.group != "contrastive" or row in best.values()]


def paper_comparisons(names: Iterable[str]) -> list[tuple[str, str]]:
    """The pairs to compare, among the names given, for every claim of both papers.

    Contrastive rows: against what they start from, and that continued. Fusion: both kinds against either, and
    against concatenation. Granularities: against frames alone, and each against the one before. Both
    modalities against one, and audio alone against the linear probe; the other words against the baseline's.
    Encoders: fine-tuned and with adapters against frozen, and adapters against fine-tuned.
    """
    names = in_table_order(names)
    pairs = []
    for name in names:
        base = parse_row(name).base
        if parse_row(name).group == "contrastive" and base is not None:
            continued = CONCAT_CONTINUED if base == CONCAT else CONTINUED
            pairs += [(name, base), (name, continued)]
    pairs += [(BOTH, EARLY), (BOTH, LATE), (EARLY, LATE), (BOTH, CONCAT)]
    for count, name in enumerate(CUMULATIVE[1:], 1):
        pairs += dict.fromkeys([(name, CUMULATIVE[count - 1]), (name, CUMULATIVE[0])])
    pairs += [
        (BASELINE, AUDIO_ONLY),
        (BASELINE, TEXT_ONLY),
        (AUDIO_ONLY, PROBE),
        (GOLD, BASELINE),
        (RECOGNIZED, BASELINE),
        (FINE_TUNED, FROZEN),
        (LORA, FROZEN),
        (LORA, FINE_TUNED),
    ]
    return [(name, other) for name, other in pairs if name in names and other in names]


def _best(results: Sequence[FoldPredictions]) -> list[FoldPredictions]:
    def fold_and_seed(result: FoldPredictions) -> tuple[str, int]:
        return result.fold, result.seed

    def rank(result: FoldPredictions) -> tuple[float, float]:
        return result.validation_ua, -(parse_row(result.row).alpha or 0.0)

    return [
        max(group, key=rank) for _, group in groupby(sorted(results, key=fold_and_seed), key=fold_and_seed)
    ]
