"""Plots of a model's results: confusion matrices, reliability diagrams, the gain over alpha.

Figures are made without pyplot: it keeps a global list of them and picks a window system. The colours are
Okabe and Ito's, distinguishable with the common kinds of colour blindness.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter, PercentFormatter

from .bootstrap import Estimate
from .metrics import ReliabilityCurve, reliability_curve
from .predictions import FoldPredictions

DPI: Final = 150
COLOURS: Final = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#000000",
    "#F0E442",
)
MARKERS: Final = ("o", "^", "s", "D")
INK: Final = "#333333"
_FAINT: Final = "#B8B8B8"
_BLUES: Final = LinearSegmentedColormap.from_list(
    "white to blue", ["#FFFFFF", "#A6CBE6", COLOURS[0], "#003B5C"]
)
_DARK: Final = 0.45
"""Share above which a cell is so dark that its text is white."""
_INCHES_A_CLASS: Final = 0.62
_CONFIDENCE_BARS: Final = 20


def write_png(figure: Figure, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, format="png", dpi=DPI)


def confusion_figure(
    confusions: Mapping[str, npt.NDArray[np.int64]], labels: Sequence[str], title: str
) -> Figure:
    """One matrix for each row of the table, side by side. confusions: (C, C) counts, truth by prediction."""
    side = max(2.4, _INCHES_A_CLASS * len(labels))
    figure = titled_figure(title, len(confusions) * (side + 0.7) + 0.9, side + 1.35)
    panels = figure.subplots(1, len(confusions), sharey=True, squeeze=False)[0]
    for axes, (row, confusion) in zip(panels, confusions.items(), strict=True):
        _draw_confusion(axes, confusion, labels)
        axes.set_title(row, loc="left", fontsize=10, color=INK)
        axes.set_xlabel("predicted", color=INK)
    panels[0].set_ylabel("truth", color=INK)
    figure.supxlabel("share of the true class, and utterances", fontsize=8, color=INK)
    return figure


def _draw_confusion(axes: Axes, confusion: npt.NDArray[np.int64], labels: Sequence[str]) -> None:
    shares = confusion / np.maximum(confusion.sum(1, keepdims=True), 1)
    axes.imshow(shares, cmap=_BLUES, vmin=0, vmax=1)
    ticks = range(len(labels))
    axes.set_xticks(ticks, labels, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticks(ticks, labels)
    axes.set_xticks(np.arange(len(labels) - 1) + 0.5, minor=True)
    axes.set_yticks(np.arange(len(labels) - 1) + 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1.5)
    axes.tick_params(which="both", length=0, labelsize=9, colors=INK)
    axes.spines[:].set_visible(False)
    for (truth, predicted), share in np.ndenumerate(shares):
        ink = "white" if share > _DARK else INK
        bold = "bold" if truth == predicted else "normal"
        axes.text(
            predicted, truth - 0.1, f"{share:.0%}", ha="center", va="center", color=ink, weight=bold, size=9
        )
        axes.text(
            predicted,
            truth + 0.24,
            f"{confusion[truth, predicted]}",
            ha="center",
            va="center",
            color=ink,
            size=6,
        )


def reliability_figure(results: Mapping[str, Sequence[FoldPredictions]], title: str) -> Figure:
    """One diagram for each row of the table, all its fits together: accuracy over confidence in bins of equal
    mass, and below it the histogram of the confidences."""
    figure = titled_figure(title, 3.7 * len(results) + 0.7, 4.9)
    shape = (2, len(results))
    panels = figure.subplots(*shape, sharex=True, sharey="row", height_ratios=(3.4, 1), squeeze=False)
    for (above, below), (row, part) in zip(panels.T, results.items(), strict=True):
        truth = np.concatenate([result.truth for result in part])
        probabilities = np.concatenate([result.probabilities for result in part])
        curve = reliability_curve(truth, probabilities, binning="equal mass")
        _draw_reliability(above, curve)
        above.set_title(f"{row}\nECE {curve.error:.1%}", loc="left", fontsize=10, color=INK)
        shares = np.full(len(truth), 1 / len(truth))
        edges = np.linspace(0, 1, _CONFIDENCE_BARS + 1)
        below.hist(
            probabilities.max(1), edges, weights=shares, color=_FAINT, edgecolor="white", linewidth=0.8
        )
        below.set_xlabel("confidence", color=INK)
        for axes in (above, below):
            _tidy(axes)
            axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
            axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    panels[0, 0].set_ylabel("accuracy", color=INK)
    panels[1, 0].set_ylabel("utterances", color=INK)
    return figure


def _draw_reliability(axes: Axes, curve: ReliabilityCurve) -> None:
    """A point for each bin with its standard error, and its gap to the diagonal."""
    axes.plot([0, 1], [0, 1], color=INK, linewidth=1, linestyle=(0, (4, 3)), label="calibrated")
    low, high = np.minimum(curve.accuracy, curve.confidence), np.maximum(curve.accuracy, curve.confidence)
    axes.vlines(curve.confidence, low, high, color=COLOURS[1], linewidth=3, alpha=0.45, label="gap")
    axes.errorbar(
        curve.confidence,
        curve.accuracy,
        np.sqrt(curve.accuracy * (1 - curve.accuracy) / curve.counts),
        color=COLOURS[0],
        marker="o",
        markersize=5,
        linewidth=1.6,
        elinewidth=1,
        label="this model",
    )
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.legend(loc="upper left", fontsize=8, frameon=False, labelcolor=INK)


def alpha_figure(
    gains: Mapping[str, Mapping[str, Mapping[float, Estimate]]], against: str, title: str
) -> Figure:
    """gains: metric (`WA`) -> objective -> alpha -> gain. One panel per metric, one line per objective."""
    figure = titled_figure(title, 4.4 * len(gains) + 0.4, 3.9)
    panels = figure.subplots(1, len(gains), sharey=True, squeeze=False)[0]
    for axes, (name, lines) in zip(panels, gains.items(), strict=True):
        axes.axhline(0, color=INK, linewidth=1)
        for number, (objective, points) in enumerate(lines.items()):
            _draw_gains(axes, objective, points, number, len(lines))
        axes.set_title(name, loc="left", fontsize=10, color=INK)
        axes.set_xlabel("alpha", color=INK)
        axes.yaxis.set_major_formatter(FuncFormatter(_signed))
        _tidy(axes)
    panels[0].set_ylabel(f"points over {against}", color=INK)
    panels[-1].legend(fontsize=8, frameon=False, labelcolor=INK)
    return figure


def _draw_gains(
    axes: Axes, objective: str, points: Mapping[float, Estimate], number: int, lines: int
) -> None:
    """Lines are offset horizontally, or their intervals would hide each other."""
    alphas = np.array(sorted(points))
    gap = float(np.diff(alphas).min()) if len(alphas) > 1 else 0.1
    values = np.array([points[alpha].value for alpha in alphas]) * 100
    intervals = [points[alpha].interval for alpha in alphas]
    reach = np.array([[interval.low, interval.high] for interval in intervals]).T * 100
    axes.errorbar(
        alphas + (number - (lines - 1) / 2) * gap * 0.16,
        values,
        np.abs(reach - values),
        color=COLOURS[number],
        marker=MARKERS[number % len(MARKERS)],
        markersize=5,
        linewidth=1.6,
        elinewidth=1,
        capsize=2,
        label=objective,
    )
    axes.set_xticks(alphas)


def _signed(value: float, _: int) -> str:
    """A tick of a gain; the minus is the typographic one, as in matplotlib's own ticks."""
    return f"{value:+.3g}".replace("-", "\N{MINUS SIGN}") if value else "0"


def titled_figure(title: str, width: float, height: float) -> Figure:
    """Sizes in inches."""
    figure = Figure(figsize=(width, height), dpi=DPI, layout=ConstrainedLayoutEngine(w_pad=0.1))
    figure.suptitle(title, x=0.01, ha="left", fontsize=11, color=INK, weight="bold", parse_math=False)
    return figure


def _tidy(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_FAINT)
    axes.tick_params(labelsize=8, colors=INK)
    axes.grid(color="#E8E8E8", linewidth=0.7)
    axes.set_axisbelow(True)
