"""The contents of plots, read from their axes, and that they are written."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.patches import Rectangle

from emostream.training.evaluation.bootstrap import Estimate, Interval
from emostream.training.evaluation.metrics import reliability_curve
from emostream.training.evaluation.plots import (
    COLOURS,
    alpha_figure,
    confusion_figure,
    reliability_figure,
    write_png,
)
from emostream.training.evaluation.tsne import silhouette, tsne_figure, tsne_projection
from tests.support.fake_predictions import LABELS, result, row_of_fits


def axes_of(figure: Figure) -> list[Any]:
    """Untyped: the attributes of Axes have wider types than what was drawn."""
    return list(figure.axes)


def check_written(figure: Figure, folder: Path) -> None:
    write_png(figure, folder / "new" / "picture.png")
    picture = np.asarray(imread(folder / "new" / "picture.png"))
    assert picture[..., :3].std() > 0.01  # no empty page


def test_the_confusion_matrix_shows_shares_of_the_truth_and_counts(tmp_path: Path) -> None:
    confusion = np.array([[3, 1], [0, 4]])
    figure = confusion_figure({"baseline": confusion, "bce": confusion.T}, ["angry", "sad"], "Confusion")
    left, right = axes_of(figure)
    np.testing.assert_allclose(left.images[0].get_array(), np.array([[0.75, 0.25], [0.0, 1.0]]))
    texts = [text.get_text() for text in left.texts]
    assert texts == ["75%", "3", "25%", "1", "0%", "0", "100%", "4"]
    assert [label.get_text() for label in left.get_yticklabels()] == ["angry", "sad"]
    assert (left.get_title("left"), right.get_title("left")) == ("baseline", "bce")
    check_written(figure, tmp_path)


def test_a_class_without_utterances_has_an_empty_row() -> None:
    figure = confusion_figure({"baseline": np.array([[2, 0], [0, 0]])}, ["angry", "sad"], "Confusion")
    np.testing.assert_array_equal(axes_of(figure)[0].images[0].get_array(), [[1, 0], [0, 0]])


def test_the_reliability_diagram_shows_the_curve_and_a_histogram(tmp_path: Path) -> None:
    fits = row_of_fits("baseline", 0.6)
    figure = reliability_figure({"baseline": fits}, "Reliability")
    above, below = axes_of(figure)
    truth = np.concatenate([fit.truth for fit in fits])
    probabilities = np.concatenate([fit.probabilities for fit in fits])
    curve = reliability_curve(truth, probabilities, binning="equal mass")
    points = next(line for line in above.lines if line.get_marker() == "o")
    np.testing.assert_allclose(points.get_xydata(), np.column_stack([curve.confidence, curve.accuracy]))
    assert above.get_title("left").endswith(f"ECE {curve.error:.1%}")
    bars = [bar for bar in below.patches if isinstance(bar, Rectangle)]
    heights, _ = np.histogram(probabilities.max(1), np.linspace(0, 1, 21))
    np.testing.assert_allclose([bar.get_height() for bar in bars], heights / len(truth))
    check_written(figure, tmp_path)


def estimate(value: float) -> Estimate:
    return Estimate(value, Interval(value - 0.02, value + 0.01), (value,), "speakers", 10)


def test_the_sweep_shows_gains_in_points_with_their_intervals(tmp_path: Path) -> None:
    lines = {"bce": {0.5: estimate(0.01), 0.1: estimate(-0.03)}, "mine": {0.1: estimate(0.0)}}
    figure = alpha_figure({"WA": lines, "UA": lines}, "baseline", "Gain")
    axes, other = axes_of(figure)
    bce, mine = axes.containers
    np.testing.assert_allclose(bce.lines[0].get_ydata(), [-3, 1])
    segments = bce.lines[2][0].get_segments()
    np.testing.assert_allclose([segment[:, 1] for segment in segments], [[-5, -2], [-1, 2]])
    np.testing.assert_allclose(mine.lines[0].get_ydata(), [0])
    assert axes.get_ylabel() == "points over baseline"
    assert [text.get_text() for text in other.get_legend().get_texts()] == ["bce", "mine"]
    check_written(figure, tmp_path)


def test_codes_are_drawn_in_the_colour_of_the_true_emotion(tmp_path: Path) -> None:
    fits = [row_of_fits(row, 0.8, embeddings=True)[0] for row in ("baseline", "bce alpha=0.1")]
    figure = tsne_figure(fits, "t-SNE")
    first, second = (axes.collections[0] for axes in axes_of(figure))
    expected = [COLOURS[label] for label in fits[0].truth]
    drawn = [to_hex(colour).upper() for colour in first.get_facecolor()]
    assert drawn == expected
    assert first.get_paths()[0].vertices.shape != second.get_paths()[0].vertices.shape  # another marker
    assert [text.get_text() for text in figure.legends[0].get_texts()] == list(LABELS)
    check_written(figure, tmp_path)


def test_the_projection_keeps_clusters_and_is_deterministic() -> None:
    """Two directions far apart stay two clusters; lengths do not matter."""
    rng = np.random.default_rng(0)
    directions = np.repeat(np.array([[1.0, 0, 0], [0, 1, 0]]), 20, axis=0) + rng.normal(0, 0.05, (40, 3))
    embeddings = (directions * rng.uniform(0.1, 10, (40, 1))).astype(np.float32)
    points = tsne_projection(embeddings, seed=1)
    np.testing.assert_array_equal(points, tsne_projection(embeddings, seed=1))
    centres = points[:20].mean(0), points[20:].mean(0)
    spread = max(points[:20].std(), points[20:].std())
    assert math.dist(*centres) > 2 * spread
    truth = np.repeat([0, 1], 20)
    assert silhouette(embeddings, truth) > 0.9
    assert silhouette(embeddings, np.tile([0, 1], 20)) < 0.1


def test_a_row_without_codes_cannot_be_drawn() -> None:
    fit = replace(result([0, 1], [0, 1]), embeddings=None)
    with pytest.raises(ValueError, match="baseline, fold 1, seed 0: expected embeddings"):
        tsne_figure([fit], "t-SNE")
