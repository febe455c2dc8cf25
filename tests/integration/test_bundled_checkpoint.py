"""The bundled weights: results and statements about them."""

from __future__ import annotations

import numpy as np
import pytest

from emostream.models import LABELS
from emostream.models.checkpoint_files import BUNDLED, WEIGHTS_FILE
from emostream.models.recognizer import EmotionRecognizer
from emostream.training.corpora.manifest import read_manifest
from emostream.training.evaluation.classify import predict_clips, score
from emostream.training.evaluation.crossvalidation import (
    LABEL_MATCHED,
    MATCHED_TEXT_ONLY,
    OWN_TRANSCRIPT,
    pooled_rows,
    read_folds,
)
from tests.support.bundled_predictions import current_predictions, stored_predictions
from tests.support.shared import DATA, needs_data

TREE_LIMIT = 20_000_000


def test_predictions_for_the_recording_match_the_stored_ones() -> None:
    """Stored when the weights were trained, possibly on another machine: a difference of one point is
    rounding, five points mean broken weights.
    """
    before = np.array(stored_predictions())
    np.testing.assert_allclose(current_predictions(), before, atol=0.02)
    assert np.ptp(before, axis=0).max() > 0.1  # not a constant model


def test_the_weights_are_small_enough_for_the_repository() -> None:
    assert sum(file.stat().st_size for file in BUNDLED.iterdir()) < TREE_LIMIT
    assert (BUNDLED / WEIGHTS_FILE).stat().st_size < TREE_LIMIT


@needs_data
@pytest.mark.parametrize(("corpus", "clips", "least"), [("ravdess", 112, 0.69), ("nemo", 719, 0.55)])
def test_the_bundled_head_classifies_unseen_speakers(corpus: str, clips: int, least: float) -> None:
    """Test speakers, four classes, audio only. MFCC means and logistic regression: 0.64 and 0.47."""
    recognizer = EmotionRecognizer.load(BUNDLED, device="cpu")
    examples = [
        example
        for example in read_manifest(DATA / "manifest.csv")
        if example.corpus == corpus and example.split == "test" and example.emotion in recognizer.labels
    ]
    assert len(examples) == clips
    predictions = predict_clips(recognizer, examples, [None] * len(examples))
    assert score(recognizer.labels, examples, predictions, "audio").ua > least
    assert score(recognizer.labels, examples, predictions, "fused").ua > least


@needs_data
def test_stored_predictions_are_of_held_out_clips() -> None:
    """Every RAVDESS clip of the four classes once per seed, tested in the fold that its speaker is in."""
    examples = {
        example.key: example
        for example in read_manifest(DATA / "manifest.csv")
        if example.corpus == "ravdess" and example.emotion in LABELS
    }
    results = [one for one in read_folds(BUNDLED) if one.row == "six folds"]
    assert results
    for seed in {one.seed for one in results}:
        keys = [key for one in results if one.seed == seed for key in one.keys]
        assert sorted(keys) == sorted(examples)
    for one in results:
        assert {examples[key].group for key in one.keys} == {one.fold}
        assert [LABELS[number] for number in one.truth] == [examples[key].emotion for key in one.keys]


def test_the_cross_validation_on_the_card_equals_the_stored_predictions() -> None:
    card = (BUNDLED / "README.md").read_text(encoding="utf-8")
    rows = pooled_rows(read_folds(BUNDLED))
    assert [row.row for row in rows] == [
        "six folds",
        "cross-corpus",
        OWN_TRANSCRIPT,
        LABEL_MATCHED,
        MATCHED_TEXT_ONLY,
    ]
    for row in rows:
        assert f"| {row.row} | {row.metrics[0].count} | {len(row.metrics)} | {row.ua.value:.3f} " in card


def test_the_card_has_the_required_statements() -> None:
    card = (BUNDLED / "README.md").read_text(encoding="utf-8")
    for needed in (
        "CC BY-NC-SA 4.0",
        "Livingstone",
        "Christop",
        "inflated",
        "not for",
        "Confusion",
        "audio only, f",
        "audio only, m",
        "Opus",
        "evaluate --output-dir figures --robustness",
    ):
        assert needed in card
