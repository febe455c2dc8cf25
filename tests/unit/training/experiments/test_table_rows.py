"""The rows of the papers' table: their names, their order, comparisons, and the choice by validation."""

from __future__ import annotations

import pytest

from emostream.training.evaluation.predictions import FoldPredictions
from emostream.training.experiments.table_rows import (
    TableRow,
    chosen_by_validation,
    in_table_order,
    paper_comparisons,
    paper_rows,
    parse_row,
)
from tests.support.fake_predictions import result, row_of_fits


def test_alpha_is_chosen_by_validation_only() -> None:
    """Alpha 0.1 validates best, though 0.9 tests best."""
    fits = row_of_fits("bce alpha=0.9", 0.8, validation_ua=0.4) + row_of_fits("infonce alpha=0.1", 0.5)
    chosen = chosen_by_validation([*fits, *row_of_fits("bce alpha=0.1", 0.6, validation_ua=0.9)])
    assert set(chosen) == {"bce, alpha by validation", "objective and alpha by validation"}
    for fits in chosen.values():
        assert [(fit.row, fit.fold, fit.seed) for fit in fits] == [
            ("bce alpha=0.1", fold, seed) for fold in "123" for seed in (0, 1)
        ]


def fit_of(alpha: float, fold: str, validation: float) -> FoldPredictions:
    return result([0, 1], [0, 1], row=f"bce alpha={alpha:g}", fold=fold, validation_ua=validation)


def test_each_fold_chooses_its_alpha_and_the_smallest_of_equals() -> None:
    fits = [fit_of(0.5, "1", 0.6), fit_of(0.1, "1", 0.5), fit_of(0.5, "2", 0.7), fit_of(0.1, "2", 0.7)]
    [(name, chosen)] = chosen_by_validation(fits).items()
    assert name == "bce, alpha by validation"
    assert [fit.row for fit in chosen] == ["bce alpha=0.5", "bce alpha=0.1"]


def test_the_rows_of_the_papers() -> None:
    rows = paper_rows((0.1, 0.5))
    assert [row.name for row in rows] == [
        "baseline",
        "continued (alpha = 0)",
        "bce alpha=0.1",
        "bce alpha=0.5",
        "infonce alpha=0.1",
        "infonce alpha=0.5",
        "mine alpha=0.1",
        "mine alpha=0.5",
        "early fusion",
        "late fusion",
        "early and late fusion",
        "phone",
        "syllable",
        "word",
        "all granularities",
        "audio only",
        "text only",
    ]
    assert in_table_order(row.name for row in reversed(rows)) == [row.name for row in rows]


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("continued (alpha = 0)", ("baseline", None, 0.0)),
        ("mine alpha=0.9", ("contrastive", "mine", 0.9)),
        ("mine, alpha by validation", ("contrastive", "mine", None)),
        ("objective and alpha by validation", ("contrastive", None, None)),
        ("all granularities", ("granularity", None, None)),
        ("mine alpha=0.9 again", ("other", None, None)),
    ],
)
def test_the_name_of_a_row_gives_its_settings(name: str, row: tuple[str, str | None, float | None]) -> None:
    got = parse_row(name)
    assert got == TableRow(name, got.group, got.objective, got.alpha)
    assert (got.group, got.objective, got.alpha) == row


def test_rows_that_are_missing_are_not_compared() -> None:
    assert paper_comparisons(["bce alpha=0.1", "baseline", "word"]) == [("bce alpha=0.1", "baseline")]
    assert paper_comparisons(["baseline"]) == []
