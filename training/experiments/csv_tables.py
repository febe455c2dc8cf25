"""All values of a report as CSV, at full precision, for other programs. Values are shares, not percent."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..evaluation.aggregate import FitResult, RowSummary, to_fit_results
from ..evaluation.predictions import FoldPredictions
from .markdown import GainRow
from .table_rows import parse_row


def write_tables(
    folder: Path,
    results: Sequence[FoldPredictions],
    summaries: Sequence[RowSummary],
    gains: Sequence[GainRow],
    warning: str = "",
) -> None:
    """table.csv, fits.csv and predictions.csv; gains.csv where there are gains. warning: a column of every
    line where it is not empty.
    """

    def write(name: str, lines: Iterable[dict[str, Any]]) -> None:
        marked = ({"warning": warning} | line for line in lines) if warning else lines
        _write_csv(folder / name, marked)

    write("table.csv", map(_summary_cells, summaries))
    write("fits.csv", map(_fit_cells, to_fit_results(results)))
    write("predictions.csv", (line for result in results for line in _prediction_cells(result)))
    if gains:
        write("gains.csv", (line for gain in gains for line in _gain_cells(gain)))


def _summary_cells(summary: RowSummary) -> dict[str, Any]:
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


def _fit_cells(fit: FitResult) -> dict[str, Any]:
    result, metrics = fit.predictions, fit.metrics.as_dict()
    del metrics["confusion"]
    head = {"row": result.row, "fold": result.fold, "seed": result.seed}
    tail = {
        "validation_ua": result.validation_ua,
        "validation_ece": result.validation_ece,
        "epochs": result.epochs,
        "seconds": result.seconds,
    }
    return head | metrics | tail


def _prediction_cells(result: FoldPredictions) -> Iterable[dict[str, Any]]:
    for key, speaker, truth, predicted, shares in zip(
        result.keys, result.speakers, result.truth, result.predicted, result.probabilities, strict=True
    ):
        yield {
            "row": result.row,
            "fold": result.fold,
            "seed": result.seed,
            "key": key,
            "speaker": speaker,
            "truth": result.labels[truth],
            "predicted": result.labels[predicted],
            **{label: f"{share:.6f}" for label, share in zip(result.labels, shares, strict=True)},
        }


def _gain_cells(line: GainRow) -> Iterable[dict[str, Any]]:
    estimates = [*line.gains.items(), *line.by_session.items()]
    for metric, gain in estimates:
        yield {
            "row": line.row,
            "against": line.against,
            "metric": metric,
            "gain": gain.value,
            "low": gain.interval.low,
            "high": gain.interval.high,
            "unit": gain.unit_kind,
            "units": gain.unit_count,
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
