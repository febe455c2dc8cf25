"""The bundled weights: results and statements about them."""

from __future__ import annotations

import csv

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
@pytest.mark.parametrize(("corpus", "clips", "least"), [("ravdess", 112, 0.62), ("nemo", 719, 0.54)])
def test_the_bundled_head_classifies_unseen_speakers(corpus: str, clips: int, least: float) -> None:
    """Test speakers, four classes, audio only, cold. Chance is 0.25."""
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
        "Cao et al.",
        "inflates",
        "not for hiring",
        "| **mean** | cold |",
        "without a baseline",
        "Whisper tiny.en (Radford et al. 2022) | teacher",
        "has heard nEMO",
    ):
        assert needed in card


def test_no_test_speaker_was_trained_on() -> None:
    """The corpora's own test speakers, of the manifest that comes with RAVDESS and nEMO."""
    with (BUNDLED / "audio_used.csv").open(newline="", encoding="utf-8") as file:
        used = list(csv.DictReader(file))
    assert {row["split"] for row in used} == {"train", "dev"}
    assert {row["stage"] for row in used if row["split"] == "dev"} == {
        "calibration",
        "distillation, validation loss only",
    }
    assert {row["corpus"] for row in used if row["stage"] == "distillation"} == {"nemo", "synthetic"}
