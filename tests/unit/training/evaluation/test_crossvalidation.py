"""Predictions of the recipe's cross-validation, stored beside the weights, and the tables made from them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from emostream.training.evaluation.crossvalidation import (
    AUDIO_ONLY,
    FILE,
    LABEL_MATCHED,
    MATCHED_TEXT_ONLY,
    OWN_TRANSCRIPT,
    crossvalidation_gains,
    crossvalidation_table,
    pooled_rows,
    read_folds,
    write_folds,
)
from emostream.training.evaluation.predictions import FoldPredictions, PredictionsError

LABELS = ("angry", "happy", "sad", "neutral")


def random_probabilities(count: int, seed: int) -> np.ndarray:
    logits = 3.0 * np.random.default_rng(seed).standard_normal((count, 4))
    return np.asarray(np.exp(logits) / np.exp(logits).sum(1, keepdims=True))


def fold_predictions(fold: str, seed: int, speakers: int = 3, row: str = AUDIO_ONLY) -> FoldPredictions:
    probabilities = random_probabilities(12 * speakers, seed=seed + 10 * int(fold))
    names = [f"f{fold}s{number}" for number in range(speakers) for _ in range(12)]
    return FoldPredictions(
        row=row,
        fold=fold,
        seed=seed,
        labels=LABELS,
        keys=tuple(f"{fold}/{n}.wav" for n in range(len(names))),
        speakers=tuple(names),
        truth=np.random.default_rng(int(fold)).integers(0, len(LABELS), 12 * speakers),
        probabilities=probabilities,
        embeddings=None,
        validation_ua=0.5,
        epochs=1,
        seconds=0.0,
    )


def test_predictions_survive_a_round_trip(tmp_path: Path) -> None:
    results = [fold_predictions(fold, seed) for seed in (1, 2) for fold in "12"]
    write_folds(tmp_path, results)
    restored = read_folds(tmp_path)
    assert [(one.row, one.fold, one.seed, one.keys) for one in restored] == [
        (one.row, one.fold, one.seed, one.keys) for one in results
    ]
    for before, after in zip(results, restored, strict=True):
        assert (before.truth == after.truth).all()
        np.testing.assert_allclose(after.probabilities, before.probabilities, rtol=1e-3)
        assert (before.predicted == after.predicted).all()


def test_rounding_keeps_probabilities_that_sum_to_1(tmp_path: Path) -> None:
    """Four digits would round three shares down by half a step each, and the file could not be read."""
    one = fold_predictions("1", 1)
    one.probabilities[0] = [0.300049, 0.300049, 0.300049, 0.099853]
    write_folds(tmp_path, [one])
    (restored,) = read_folds(tmp_path)
    np.testing.assert_allclose(restored.probabilities[0], one.probabilities[0], atol=1e-5)


def test_folds_are_pooled_by_seed() -> None:
    results = [fold_predictions(fold, seed) for seed in (1, 2) for fold in "12"]
    (row,) = pooled_rows(results)
    assert [metrics.count for metrics in row.metrics] == [72, 72]
    assert row.ua.value == pytest.approx(np.mean([metrics.ua for metrics in row.metrics]))
    assert row.ua.interval.contains(row.ua.value)
    assert "| six folds | 72 | 2 |" in crossvalidation_table(results)
    assert crossvalidation_table([]) == ""


def with_accuracy(predictions: FoldPredictions, row: str, share: float) -> FoldPredictions:
    """The same clips in another row, the first `share` of each label predicted right, the rest wrong."""
    predicted = (predictions.truth + 1) % len(LABELS)
    for label in range(len(LABELS)):
        indices = np.flatnonzero(predictions.truth == label)
        hits = indices[: round(share * len(indices))]
        predicted[hits] = label
    probabilities = np.full((len(predicted), len(LABELS)), 0.1)
    probabilities[np.arange(len(predicted)), predicted] = 0.7
    return replace(predictions, row=row, probabilities=probabilities)


def test_gains_are_over_the_same_clips_and_the_better_single_modality() -> None:
    clips = [
        replace(
            fold_predictions(fold, 1),
            truth=np.arange(36) % len(LABELS),
            probabilities=random_probabilities(36, seed=1),
        )
        for fold in "12"
    ]
    audio = [with_accuracy(one, AUDIO_ONLY, 2 / 3) for one in clips]
    other_seed = [replace(with_accuracy(one, AUDIO_ONLY, 0.0), seed=2) for one in clips]
    own = [with_accuracy(one, OWN_TRANSCRIPT, 5 / 9) for one in clips]
    assert crossvalidation_gains(audio) == ""
    gains = crossvalidation_gains([*audio, *other_seed, *own])
    assert "own transcripts: -11.1 [" in gains
    assert "inflated" not in gains
    matched = [with_accuracy(one, LABEL_MATCHED, 7 / 9) for one in clips]
    for text_accuracy, gain in ((1 / 3, "+11.1"), (8 / 9, "-11.1")):
        text = [with_accuracy(one, MATCHED_TEXT_ONLY, text_accuracy) for one in clips]
        gains = crossvalidation_gains([*audio, *matched, *text])
        assert f"label-matched texts (**inflated**): {gain} [" in gains


def test_a_checkpoint_without_the_file_has_no_predictions(tmp_path: Path) -> None:
    assert read_folds(tmp_path) == []


HEAD = "row,fold,seed,key,speaker,truth,angry,sad\n"
DAMAGES = {
    "empty": "",
    "other columns": "row,fold\n",
    "a short line": f"{HEAD}x,1,1\n",
    "no number": f"{HEAD}x,1,one,k,s,sad,0.5,0.5\n",
    "an unknown label": f"{HEAD}x,1,1,k,s,glad,0.5,0.5\n",
    "no probabilities": f"{HEAD}x,1,1,k,s,sad,0.5,0.7\n",
    "other clips in another seed": f"{HEAD}x,1,1,k,s,sad,0.5,0.5\nx,1,2,l,s,sad,0.5,0.5\n",
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_file_is_an_error_with_its_path(damage: str, tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(damage)
    with pytest.raises(
        PredictionsError, match=f"{FILE}: expected the predictions of a cross-validation, got"
    ):
        read_folds(tmp_path)
