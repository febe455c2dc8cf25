"""The bundled weights: results and statements about them."""

from __future__ import annotations

import numpy as np
import pytest

from emostream.models.checkpoint_files import BUNDLED, WEIGHTS_FILE
from emostream.models.recognizer import EmotionRecognizer
from emostream.training.corpora.manifest import read_manifest
from emostream.training.evaluation.classify import predict_clips, score
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
