"""Every figure of a report as CSV, at full precision, for other programs. Figures are shares, not percent."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..evaluation.aggregate import FitResult, RowSummary, judged
from ..evaluation.predictions import FoldPredictions
from .markdown import GainRow
from .table_rows import parse_row


def write_tables(
    folder: Path,
    results: Sequence[FoldPredictions],
    summaries: Sequence[RowSummary],
    gains: Sequence[GainRow],
) -> None:
    """table.csv, fits.csv and predictions.csv; gains.csv where there are gains."""
    _write_csv(folder / "table.csv", map(_summary_line, summaries))
    _write_csv(folder / "fits.csv", map(_fit_line, judged(results)))
    _write_csv(folder / "predictions.csv", (line for result in results for line in _prediction_lines(result)))
    if gains:
        _write_csv(folder / "gains.csv", (line for gain in gains for line in _gain_lines(gain)))


def _summary_line(summary: RowSummary) -> dict[str, Any]:
    row = parse_row(summary.row)
    line: dict[str, Any] = {
        "row": row.name,
        "group": row.group,
        "objective": row.objective,
        "alpha": row.alpha,
    }
    for name, value in asdict(summary).items():
        parts = (
            {f"{name}_{part}": value[part] for part in value} if isinstance(value, dict) else {name: value}
        )
        line |= parts
    return line


def _fit_line(fit: FitResult) -> dict[str, Any]:
    result, metrics = fit.result, fit.metrics.as_dict()
    del metrics["confusion"]
    head = {"row": result.row, "fold": result.fold, "seed": result.seed}
    tail = {"validation_ua": result.validation_ua, "epochs": result.epochs, "seconds": result.seconds}
    return head | metrics | tail


def _prediction_lines(result: FoldPredictions) -> Iterable[dict[str, Any]]:
    for key, speaker, truth, guess, shares in zip(
        result.keys, result.speakers, result.truth, result.guesses, result.probabilities, strict=True
    ):
        yield {
            "row": result.row,
            "fold": result.fold,
            "seed": result.seed,
            "key": key,
            "speaker": speaker,
            "truth": result.labels[truth],
            "guess": result.labels[guess],
            **{label: f"{share:.6f}" for label, share in zip(result.labels, shares, strict=True)},
        }


def _gain_lines(line: GainRow) -> Iterable[dict[str, Any]]:
    for figure, gain in line.gains.items():
        yield {
            "row": line.row,
            "against": line.against,
            "figure": figure,
            "gain": gain.value,
            "low": gain.interval.low,
            "high": gain.interval.high,
            "drawn": gain.drawn,
            "units": gain.units,
            "per_seed": " ".join(f"{value:.6f}" for value in gain.per_seed),
        }


def _write_csv(file: Path, lines: Iterable[Mapping[str, Any]]) -> None:
    """The first line names the columns."""
    lines = iter(lines)
    first = next(lines)
    with file.open("w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, list(first), lineterminator="\n")
        writer.writeheader()
        writer.writerow(first)
        writer.writerows(lines)
