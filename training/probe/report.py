"""The result of a probe, as a table and as files."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..evaluation.bootstrap import Estimate
from ..evaluation.metrics import ClassificationMetrics, compute_metrics
from ..evaluation.predictions import FoldPredictions


@dataclass(frozen=True, slots=True, eq=False)
class ProbeRow:
    """One corpus under one protocol.

    speakers: 0 where they are unknown. ua, wa: pooled over the folds, with intervals by speaker.
    chance_ua: of guessing. most_frequent: WA of always giving the most frequent label. penalties: chosen, by
    fold. folds: the predictions.
    """

    corpus: str
    protocol: str
    clips: int
    speakers: int
    ua: Estimate
    wa: Estimate
    chance_ua: float
    most_frequent: float
    penalties: tuple[float, ...]
    folds: tuple[FoldPredictions, ...]

    @property
    def metrics(self) -> ClassificationMetrics:
        """Of all folds together."""
        truth = np.concatenate([fold.truth for fold in self.folds])
        return compute_metrics(truth, np.concatenate([fold.probabilities for fold in self.folds]))

    def as_dict(self) -> dict[str, Any]:
        names = ("corpus", "protocol", "clips", "speakers", "chance_ua", "most_frequent", "penalties")
        estimates = {
            name: {
                "value": each.value,
                "low": each.interval.low,
                "high": each.interval.high,
                "by": each.unit_kind,
            }
            for name, each in (("ua", self.ua), ("wa", self.wa))
        }
        confusion = self.metrics.confusion
        return {name: getattr(self, name) for name in names} | estimates | {"confusion": confusion}


@dataclass(frozen=True, slots=True, eq=False)
class ProbeReport:
    """encoder: its name and layers. seconds: everything took. centred: speakers' means were subtracted."""

    encoder: str
    labels: tuple[str, ...]
    rows: tuple[ProbeRow, ...]
    seconds: float
    centred: bool

    def table(self) -> str:
        """Markdown; metrics in percent, with 95 % intervals."""
        lines = [
            "| corpus | tested on | clips | speakers | UA | chance | WA | most frequent label | penalty |",
            "|---|---|---:|---:|---|---:|---|---:|---|",
        ]
        for row in self.rows:
            penalties = sorted(set(row.penalties))
            chosen = f"{penalties[0]:g}" if len(penalties) == 1 else f"{penalties[0]:g} to {penalties[-1]:g}"
            cells = [
                row.corpus,
                row.protocol,
                f"{row.clips:,}",
                f"{row.speakers:,}" if row.speakers else "unknown",
                _percent(row.ua),
                f"{100 * row.chance_ua:.1f}",
                _percent(row.wa),
                f"{100 * row.most_frequent:.1f}",
                chosen,
            ]
            lines.append("| " + " | ".join(cells) + " |")
        for protocol in dict.fromkeys(row.protocol for row in self.rows):
            values = [row.ua.value for row in self.rows if row.protocol == protocol]
            if len(values) > 1:
                lines.append(f"| **mean** | {protocol} | | | **{100 * np.mean(values):.1f}** | | | | |")
        return "\n".join(lines)

    def summary(self) -> str:
        """What the table is of, in a sentence or two."""
        units = {row.ua.unit_kind for row in self.rows}
        by = "speakers" if units == {"speakers"} else "speakers, or clips where there are fewer than five"
        text = (
            f"Logistic regression on mean and deviation over time of {self.encoder}; labels: "
            f"{', '.join(self.labels)}. 95 % intervals by resampling {by}."
        )
        if self.centred:
            text += " Each speaker's mean over all of his clips was subtracted."
        if any(row.protocol == "clips left out" for row in self.rows):
            text += (
                " Where speakers are unknown, one may be in training and in test: that figure is too good."
            )
        return text

    def write(self, folder: Path) -> Path:
        """probe.md, probe.json and predictions.csv; returns the first."""
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / "probe.md"
        file.write_text(f"# Linear probe\n\n{self.summary()}\n\n{self.table()}\n", encoding="utf-8")
        content = {"encoder": self.encoder, "labels": self.labels, "centred": self.centred}
        rows = [row.as_dict() for row in self.rows]
        (folder / "probe.json").write_text(
            json.dumps(content | {"rows": rows}, indent=1) + "\n", encoding="utf-8"
        )
        with (folder / "predictions.csv").open("w", newline="", encoding="utf-8") as out:
            writer = csv.writer(out)
            writer.writerow(
                ["corpus", "protocol", "fold", "clip", "speaker", "truth", "predicted", *self.labels]
            )
            for row in self.rows:
                writer.writerows(_cells(row))
        return file


def _cells(row: ProbeRow) -> list[list[str]]:
    cells = []
    for fold in row.folds:
        for place, key in enumerate(fold.keys):
            named = (fold.labels[fold.truth[place]], fold.labels[fold.predicted[place]])
            shares = [f"{share:.4f}" for share in fold.probabilities[place]]
            cells.append([row.corpus, row.protocol, fold.fold, key, fold.speakers[place], *named, *shares])
    return cells


def _percent(estimate: Estimate) -> str:
    low, high = 100 * estimate.interval.low, 100 * estimate.interval.high
    return f"{100 * estimate.value:.1f} ({low:.1f} to {high:.1f})"
