"""Predictions of the bundled recipe's cross-validation, stored beside the weights.

The models of the cross-validation are not shipped; their predictions for every clip of their test folds are,
so that anybody can recompute the metrics. Written from `training.bundled_recipe.pipeline.cross_validate`.
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
from .reliability import ReliabilityStats, reliability_stats

FILE: Final = "crossvalidation.csv"
AUDIO_ONLY: Final = "six folds"
OWN_TRANSCRIPT: Final = "six folds, own transcript"
LABEL_MATCHED: Final = "six folds, label-matched text (inflated)"
MATCHED_TEXT_ONLY: Final = "six folds, label-matched text only (inflated)"
_HEAD: Final = ("row", "fold", "seed", "key", "speaker", "truth")


@dataclass(frozen=True, slots=True)
class PooledRow:
    """All folds of a row as one test set. metrics, reliability: one per seed. ua: with an interval over
    speakers.
    """

    row: str
    ua: Estimate
    metrics: list[ClassificationMetrics]
    reliability: list[ReliabilityStats]


def write_folds(folder: Path, results: Sequence[FoldPredictions]) -> None:
    """Writes crossvalidation.csv: one line per clip of every test fold."""
    with (folder / FILE).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*_HEAD, *results[0].labels])
        for fold in results:
            rows = zip(
                fold.keys, fold.speakers, fold.truth.tolist(), fold.probabilities.tolist(), strict=True
            )
            for key, speaker, truth, probabilities in rows:
                cells = [f"{probability:.5g}" for probability in probabilities]
                writer.writerow([fold.row, fold.fold, fold.seed, key, speaker, fold.labels[truth], *cells])


def read_folds(folder: Path) -> list[FoldPredictions]:
    """The stored predictions; empty where the checkpoint has none. Raises PredictionsError for a damaged
    file.
    """
    file = folder / FILE
    if not file.exists():
        return []
    try:
        results = _read(file)
        for row in {fold.row for fold in results}:  # raises where folds and seeds do not match
            pooled_interval([fold for fold in results if fold.row == row], "ua", resamples=1)
    except (OSError, ValueError, csv.Error, ArithmeticError) as error:
        raise PredictionsError(
            f"{file}: expected the predictions of a cross-validation, got {error}: fetch it again"
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
        embeddings=None,
        validation_ua=float("nan"),
        epochs=0,
        seconds=0.0,
    )


def pooled_rows(results: Sequence[FoldPredictions]) -> list[PooledRow]:
    """One for each row, in order of first occurrence."""
    rows = []
    for row in dict.fromkeys(fold.row for fold in results):
        of_row = [fold for fold in results if fold.row == row]
        reliability = []
        for seed in sorted({fold.seed for fold in of_row}):
            of_seed = [fold for fold in of_row if fold.seed == seed]
            truth = np.concatenate([fold.truth for fold in of_seed])
            probabilities = np.concatenate([fold.probabilities for fold in of_seed])
            reliability.append(reliability_stats(truth, probabilities))
        rows.append(PooledRow(row, pooled_interval(of_row, "ua"), pooled_by_seed(of_row), reliability))
    return rows


def crossvalidation_table(results: Sequence[FoldPredictions]) -> str:
    """Markdown: means over the seeds; UA with its 95 % interval over speakers. Empty without results."""
    if not results:
        return ""
    lines = [
        "| cross-validation | clips | seeds | UA | WA | macro-F1 | ECE | ECE if calibrated | NLL "
        "| Brier | UA at 75 % coverage |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in pooled_rows(results):
        interval = row.ua.interval
        numbers = [
            *(np.mean([getattr(m, name) for m in row.metrics]) for name in ("wa", "macro_f1")),
            *(
                np.mean([getattr(r, name) for r in row.reliability])
                for name in ("calibration_error", "ece_if_calibrated")
            ),
            *(np.mean([getattr(m, name) for m in row.metrics]) for name in ("nll", "brier")),
        ]
        selective = np.mean([r.selective_ua for r in row.reliability])
        gain = np.mean([r.selective_gain for r in row.reliability])
        cells = [
            row.row,
            str(row.metrics[0].count),
            str(len(row.metrics)),
            f"{row.ua.value:.3f} [{interval.low:.3f}, {interval.high:.3f}]",
            *(f"{number:.3f}" for number in numbers),
            f"{selective:.3f} ({gain:+.3f})",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def crossvalidation_gains(results: Sequence[FoldPredictions]) -> str:
    """Markdown: the gain of text on the clips of the six folds, paired. Empty where text was not
    evaluated.
    """
    lines = []
    if (own := _gain(results, OWN_TRANSCRIPT, (AUDIO_ONLY,))) is not None:
        lines.append(f"- own transcripts: {own} points of UA over audio only")
    if (matched := _gain(results, LABEL_MATCHED, (AUDIO_ONLY, MATCHED_TEXT_ONLY))) is not None:
        lines.append(f"- label-matched texts (**inflated**): {matched} over the better single modality")
    return "Six folds, audio and text, on the same clips:\n\n" + "\n".join(lines) if lines else ""


def _gain(results: Sequence[FoldPredictions], row: str, others: Sequence[str]) -> str | None:
    """The gain of a row over the best of the others, over the row's own seeds."""
    fused = [fold for fold in results if fold.row == row]
    seeds = {fold.seed for fold in fused}
    single = [[fold for fold in results if fold.row == name and fold.seed in seeds] for name in others]
    if not fused or not all(single):
        return None
    gain = min(
        (paired_gain(fused, baseline, "ua") for baseline in single), key=lambda estimate: estimate.value
    )
    low, high = gain.interval.low, gain.interval.high
    return f"{100 * gain.value:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"
