"""The judgements of the bundled recipe's own cross-validation, kept beside the weights.

The models that made them are not shipped; what they said of every clip that they had not heard is, so that
anybody can compute the figures again. Source of the form: `training.recipe.stages.judge`.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from .aggregate import pooled_by_seed
from .bootstrap import Estimate, paired_gain, pooled_interval
from .metrics import ClassificationMetrics
from .predictions import FoldPredictions, PredictionsError
from .reliability import ReliabilityStats, trust

FILE: Final = "crossvalidation.csv"
SOUND: Final = "six folds"
OWN_WORDS: Final = "six folds, its own words"
MATCHED: Final = "six folds, a text of the same label (inflated)"
TEXT_ALONE: Final = "six folds, that text alone (inflated)"
_HEAD: Final = ("row", "fold", "seed", "key", "speaker", "truth")


@dataclass(frozen=True, slots=True)
class Pooled:
    """All folds of a row as one test set. figures, trusts: one a seed. ua: with an interval over speakers."""

    row: str
    ua: Estimate
    metrics: list[ClassificationMetrics]
    trusts: list[ReliabilityStats]


def write_folds(folder: Path, results: Sequence[FoldPredictions]) -> None:
    with (folder / FILE).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*_HEAD, *results[0].labels])
        for one in results:
            rows = zip(one.keys, one.speakers, one.truth.tolist(), one.probabilities.tolist(), strict=True)
            for key, speaker, truth, shares in rows:
                cells = [f"{share:.5g}" for share in shares]
                writer.writerow([one.row, one.fold, one.seed, key, speaker, one.labels[truth], *cells])


def read_folds(folder: Path) -> list[FoldPredictions]:
    """Nothing where the checkpoint has none. Raises PredictionsError for a file that is damaged."""
    file = folder / FILE
    if not file.exists():
        return []
    try:
        results = _read(file)
        for row in {one.row for one in results}:  # whether its folds and seeds fit each other
            pooled_interval([one for one in results if one.row == row], "ua", resamples=1)
    except (OSError, ValueError, csv.Error, ArithmeticError) as error:
        raise PredictionsError(
            f"{file}: expected the judgements of a cross-validation, got {error}: fetch it again"
        ) from error
    return results


def _read(file: Path) -> list[FoldPredictions]:
    with file.open(newline="", encoding="utf-8") as opened:
        reader = csv.reader(opened)
        head = next(reader, [])
        labels = tuple(head[len(_HEAD) :])
        if tuple(head[: len(_HEAD)]) != _HEAD or len(labels) < 2:
            raise ValueError(f"the columns {', '.join(head)}")
        cells: dict[tuple[str, str, int], list[list[str]]] = {}
        for line in reader:
            if len(line) != len(head):
                raise ValueError(f"a line of {len(line)} cells, not {len(head)}")
            cells.setdefault((line[0], line[1], int(line[2])), []).append(line[3:])
    return [_to_predictions(row, fold, seed, labels, lines) for (row, fold, seed), lines in cells.items()]


def _to_predictions(
    row: str, fold: str, seed: int, labels: tuple[str, ...], lines: list[list[str]]
) -> FoldPredictions:
    return FoldPredictions(
        row=row,
        fold=fold,
        seed=seed,
        labels=labels,
        keys=tuple(line[0] for line in lines),
        speakers=tuple(line[1] for line in lines),
        truth=np.array([labels.index(line[2]) for line in lines]),
        probabilities=np.array([[float(share) for share in line[3:]] for line in lines]),
        codes=None,
        validation_ua=float("nan"),
        epochs=0,
        seconds=0.0,
    )


def pooled_rows(results: Sequence[FoldPredictions]) -> list[Pooled]:
    """One for each row, in the order in which they come first."""
    found = []
    for row in dict.fromkeys(one.row for one in results):
        part = [one for one in results if one.row == row]
        seeds = sorted({one.seed for one in part})
        trusts = []
        for seed in seeds:
            of_seed = [one for one in part if one.seed == seed]
            truth = np.concatenate([one.truth for one in of_seed])
            trusts.append(trust(truth, np.concatenate([one.probabilities for one in of_seed])))
        found.append(Pooled(row, pooled_interval(part, "ua"), pooled_by_seed(part), trusts))
    return found


def fold_table(results: Sequence[FoldPredictions]) -> str:
    """Markdown: means over the seeds; UA with its 95 % interval over speakers. Empty where there are none."""
    if not results:
        return ""
    lines = [
        "| cross-validation | clips | seeds | UA | WA | macro-F1 | ECE | by chance | NLL "
        "| Brier | UA of the most certain 75 % |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for one in pooled_rows(results):
        interval = one.ua.interval
        numbers = [
            *(np.mean([getattr(f, name) for f in one.metrics]) for name in ("wa", "macro_f1")),
            *(
                np.mean([getattr(t, name) for t in one.trusts])
                for name in ("calibration_error", "ece_if_calibrated")
            ),
            *(np.mean([getattr(f, name) for f in one.metrics]) for name in ("nll", "brier")),
        ]
        certain = np.mean([t.selective_ua for t in one.trusts])
        gain = np.mean([t.selective_gain for t in one.trusts])
        cells = [
            one.row,
            str(one.metrics[0].count),
            str(len(one.metrics)),
            f"{one.ua.value:.3f} [{interval.low:.3f}, {interval.high:.3f}]",
            *(f"{number:.3f}" for number in numbers),
            f"{certain:.3f} ({gain:+.3f})",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def fold_gains(results: Sequence[FoldPredictions]) -> str:
    """Markdown: what words bring to the clips of the six folds, paired. Empty where they were not asked."""
    lines = []
    if (own := _gain(results, OWN_WORDS, (SOUND,))) is not None:
        lines.append(f"- its own words: {own} points of UA over sound alone")
    if (matched := _gain(results, MATCHED, (SOUND, TEXT_ALONE))) is not None:
        lines.append(f"- texts of the same label (**inflated**): {matched} over the better of the two")
    return "Six folds, sound and words, on the same clips:\n\n" + "\n".join(lines) if lines else ""


def _gain(results: Sequence[FoldPredictions], row: str, others: Sequence[str]) -> str | None:
    """Of a row over the best of the others, in the row's own seeds."""
    fused = [one for one in results if one.row == row]
    seeds = {one.seed for one in fused}
    single = [[one for one in results if one.row == name and one.seed in seeds] for name in others]
    if not fused or not all(single):
        return None
    gain = min((paired_gain(fused, one, "ua") for one in single), key=lambda estimate: estimate.value)
    low, high = gain.interval.low, gain.interval.high
    return f"{100 * gain.value:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"
