"""t-SNE of the audio and text embeddings, one panel for each row of the table."""

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
"""A plot of fewer utterances is meaningless."""
_PERPLEXITY: Final = 30.0


def tsne_projection(embeddings: npt.NDArray[np.float32], seed: int = 0) -> npt.NDArray[np.float32]:
    """(N, D) embeddings -> (N, 2) by t-SNE on their directions, as the discriminator compares them.

    Distances between far points and the axes themselves have no meaning.
    """
    lengths = np.linalg.norm(embeddings, axis=1, keepdims=True)
    perplexity = min(_PERPLEXITY, (len(embeddings) - 1) / 3)
    tsne = TSNE(perplexity=perplexity, init="pca", random_state=seed)
    points: npt.NDArray[np.float32] = tsne.fit_transform(embeddings / np.maximum(lengths, 1e-12))
    return points


def silhouette(embeddings: npt.NDArray[np.float32], truth: npt.NDArray[np.int64]) -> float:
    """Mean silhouette of the emotions by cosine distance, -1 to 1, in embedding space, not in the plane."""
    return float(silhouette_score(embeddings, truth, metric="cosine"))


def tsne_figure(results: Sequence[FoldPredictions], title: str, seed: int = 0) -> Figure:
    """results: of the same fold and seed, with embeddings, one for each panel. Colour encodes the emotion,
    the marker the row.

    Raises ValueError where a result has no embeddings.
    """
    figure = titled_figure(title, 4.2 * len(results) + 1.1, 4.7)
    panels = figure.subplots(1, len(results), squeeze=False)[0]
    for number, (axes, result) in enumerate(zip(panels, results, strict=True)):
        if result.embeddings is None:
            raise ValueError(f"{result.name}: expected embeddings to draw, got none")
        points = tsne_projection(result.embeddings, seed)
        colours = np.array(COLOURS)[result.truth % len(COLOURS)]
        axes.scatter(
            *points.T, c=colours, marker=MARKERS[number], s=24, alpha=0.85, linewidths=0.4, edgecolors=INK
        )
        score = silhouette(result.embeddings, result.truth)
        axes.set_title(f"{result.row}\nsilhouette {score:+.2f}", loc="left", fontsize=10, color=INK)
        axes.set(xticks=[], yticks=[], box_aspect=1)
        axes.spines[:].set_color("#D0D0D0")
    figure.legend(handles=_legend(results[0].labels), loc="outside right upper", fontsize=9, frameon=False)
    return figure


def _legend(labels: Sequence[str]) -> list[Line2D]:
    return [
        Line2D([], [], color=COLOURS[index % len(COLOURS)], marker="o", linestyle="", label=label)
        for index, label in enumerate(labels)
    ]
