"""What the codes of sound and words look like: t-SNE of them, one panel for each row of the table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from sklearn.manifold import TSNE
from sklearn.metrics import silhouette_score

from .plots import COLOURS, INK, MARKERS, titled_figure
from .predictions import FoldPredictions

MIN_POINTS: Final = 8
"""Codes of fewer utterances say nothing as a picture."""
_PERPLEXITY: Final = 30.0


def projected(codes: npt.NDArray[np.float32], seed: int = 0) -> npt.NDArray[np.float32]:
    """(N, D) codes -> (N, 2) by t-SNE on their directions, as the discriminator compares them.

    Distances between far points, and the axes themselves, mean nothing.
    """
    lengths = np.linalg.norm(codes, axis=1, keepdims=True)
    perplexity = min(_PERPLEXITY, (len(codes) - 1) / 3)
    tsne = TSNE(perplexity=perplexity, init="pca", random_state=seed)
    points: npt.NDArray[np.float32] = tsne.fit_transform(codes / np.maximum(lengths, 1e-12))
    return points


def separation(codes: npt.NDArray[np.float32], truth: npt.NDArray[np.int64]) -> float:
    """Mean silhouette of the emotions by cosine distance, -1 to 1, among the codes, not in the plane."""
    return float(silhouette_score(codes, truth, metric="cosine"))


def tsne_figure(results: Sequence[FoldPredictions], title: str, seed: int = 0) -> Figure:
    """outcomes: same fold and seed, with codes, one for each panel. Colour says the emotion, marker the row.

    Raises ValueError where an outcome has no codes.
    """
    figure = titled_figure(title, 4.2 * len(results) + 1.1, 4.7)
    panels = figure.subplots(1, len(results), squeeze=False)[0]
    for number, (axes, result) in enumerate(zip(panels, results, strict=True)):
        if result.codes is None:
            raise ValueError(f"{result.name}: expected codes to draw, got none")
        points = projected(result.codes, seed)
        colours = np.array(COLOURS)[result.truth % len(COLOURS)]
        axes.scatter(
            *points.T, c=colours, marker=MARKERS[number], s=24, alpha=0.85, linewidths=0.4, edgecolors=INK
        )
        silhouette = separation(result.codes, result.truth)
        axes.set_title(f"{result.row}\nsilhouette {silhouette:+.2f}", loc="left", fontsize=10, color=INK)
        axes.set(xticks=[], yticks=[], box_aspect=1)
        axes.spines[:].set_color("#D0D0D0")
    figure.legend(handles=_legend(results[0].labels), loc="outside right upper", fontsize=9, frameon=False)
    return figure


def _legend(labels: Sequence[str]) -> list[Line2D]:
    return [
        Line2D([], [], color=COLOURS[index % len(COLOURS)], marker="o", linestyle="", label=label)
        for index, label in enumerate(labels)
    ]
