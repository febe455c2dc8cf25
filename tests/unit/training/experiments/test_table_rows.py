"""The rows of the papers' table: their names, their order, comparisons, and the choice by validation."""

from __future__ import annotations

import pytest

from emostream.training.evaluation.predictions import FoldPredictions
from emostream.training.experiments.table_rows import (
    RECOGNIZED,
    TableRow,
    chosen_by_validation,
    in_table_order,
    paper_comparisons,
    paper_rows,
    parse_row,
    swept_rows,
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
    rows = paper_rows((0.1, 0.5), (0.3,), transcripts=(RECOGNIZED,), fine_tuned=True)
    assert [row.name for row in rows] == [
        "baseline",
        "continued (alpha = 0)",
        "concatenation",
        "concatenation, continued (alpha = 0)",
        "bce alpha=0.3",
        "infonce alpha=0.3",
        "mine alpha=0.3",
        "concatenation, bce alpha=0.1",
        "concatenation, bce alpha=0.5",
        "concatenation, infonce alpha=0.1",
        "concatenation, infonce alpha=0.5",
        "concatenation, mine alpha=0.1",
        "concatenation, mine alpha=0.5",
        "early fusion",
        "late fusion",
        "early and late fusion",
        "frame",
        "frame + phone",
        "frame + phone + syllable",
        "frame + phone + syllable + word",
        "audio only",
        "audio only, linear probe",
        "text only",
        "recognized transcripts",
        "frozen encoders",
        "LoRA",
        "fine-tuned encoders",
    ]
    assert in_table_order(row.name for row in reversed(rows)) == [row.name for row in rows]


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("continued (alpha = 0)", ("baseline", None, 0.0)),
        ("mine alpha=0.9", ("contrastive", "mine", 0.9)),
        ("mine, alpha by validation", ("contrastive", "mine", None)),
        ("objective and alpha by validation", ("contrastive", None, None)),
        ("word", ("granularity", None, None)),
        ("frame + word", ("granularity", None, None)),
        ("concatenation", ("baseline", None, 0.0)),
        ("concatenation, mine alpha=0.9", ("contrastive", "mine", 0.9)),
        ("concatenation, bce, alpha by validation", ("contrastive", "bce", None)),
        ("concatenation, objective and alpha by validation", ("contrastive", None, None)),
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


def test_every_claim_of_both_papers_is_compared() -> None:
    names = [row.name for row in paper_rows((0.1,), transcripts=(RECOGNIZED,), fine_tuned=True)]
    term = "concatenation, bce alpha=0.1"
    all_four = "frame + phone + syllable + word"
    pairs = paper_comparisons(names)
    assert [pair for pair in pairs if not pair[0].startswith("concatenation")] == [
        ("early and late fusion", "early fusion"),
        ("early and late fusion", "late fusion"),
        ("early fusion", "late fusion"),
        ("early and late fusion", "concatenation"),
        ("frame + phone", "frame"),
        ("frame + phone + syllable", "frame + phone"),
        ("frame + phone + syllable", "frame"),
        (all_four, "frame + phone + syllable"),
        (all_four, "frame"),
        ("baseline", "audio only"),
        ("baseline", "text only"),
        ("audio only", "audio only, linear probe"),
        ("recognized transcripts", "baseline"),
        ("fine-tuned encoders", "frozen encoders"),
        ("LoRA", "frozen encoders"),
        ("LoRA", "fine-tuned encoders"),
    ]
    assert {other for row, other in pairs if row == term} == {
        "concatenation",
        "concatenation, continued (alpha = 0)",
    }


def test_further_seeds_run_the_alpha_that_validated_best_on_the_first() -> None:
    """Of each objective on each base, by the mean over the seeds of the sweep; all other rows as before."""
    rows = paper_rows((0.1, 0.5), (0.1, 0.5))
    scores = {
        "bce alpha=0.1": (0.6, 0.6),
        "bce alpha=0.5": (0.9, 0.2),
        "concatenation, bce alpha=0.5": (0.7, 0.7),
    }
    sweep = [
        result([0, 1], [0, 1], row=row.name, seed=seed, validation_ua=scores.get(row.name, (0.5, 0.5))[seed])
        for row in rows
        for seed in (0, 1)
    ]
    kept = [row.name for row in swept_rows(rows, sweep)]
    assert kept == [
        name
        for name in (row.name for row in rows)
        if "alpha=" not in name
        or name
        in (
            "bce alpha=0.1",
            "infonce alpha=0.1",
            "mine alpha=0.1",
            "concatenation, bce alpha=0.5",
            "concatenation, infonce alpha=0.1",
            "concatenation, mine alpha=0.1",
        )
    ]


def test_alphas_on_concatenation_are_chosen_apart() -> None:
    fits = row_of_fits("bce alpha=0.1", 0.5) + row_of_fits("bce alpha=0.9", 0.5, validation_ua=0.9)
    fits += row_of_fits("concatenation, bce alpha=0.1", 0.5, validation_ua=0.9)
    chosen = chosen_by_validation([*fits, *row_of_fits("concatenation, bce alpha=0.9", 0.5)])
    assert {name: {fit.row for fit in part} for name, part in chosen.items()} == {
        "bce, alpha by validation": {"bce alpha=0.9"},
        "concatenation, bce, alpha by validation": {"concatenation, bce alpha=0.1"},
    }
