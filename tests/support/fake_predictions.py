"""Outcomes of fits that never were: speakers of unequal difficulty, models that are right now and then."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from emostream.training.evaluation.predictions import FoldPredictions

LABELS = ("angry", "happy", "neutral", "sad")


def result(
    truth: Sequence[int],
    guesses: Sequence[int],
    *,
    speakers: Sequence[str] | None = None,
    confidence: float = 0.7,
    labels: Sequence[str] = LABELS,
    row: str = "baseline",
    fold: str = "1",
    seed: int = 0,
    validation_ua: float = 0.5,
    embeddings: npt.NDArray[np.float32] | None = None,
) -> FoldPredictions:
    """Every guess with the same confidence. Utterance i is `FOLD-i`, and its own speaker by default."""
    rest = (1 - confidence) / (len(labels) - 1)
    probabilities = np.full((len(truth), len(labels)), rest)
    probabilities[np.arange(len(truth)), list(guesses)] = confidence
    keys = tuple(f"{fold}-{index:04d}" for index in range(len(truth)))
    return FoldPredictions(
        row=row,
        fold=fold,
        seed=seed,
        labels=tuple(labels),
        keys=keys,
        speakers=keys if speakers is None else tuple(speakers),
        truth=np.array(truth, dtype=np.int64),
        probabilities=probabilities,
        embeddings=embeddings,
        validation_ua=validation_ua,
        epochs=7,
        seconds=60.0,
    )


def row_of_fits(
    row: str,
    accuracy: float,
    *,
    folds: int = 3,
    seeds: Sequence[int] = (0, 1),
    speakers_a_fold: int = 3,
    utterances: int = 12,
    labels: Sequence[str] = LABELS,
    embeddings: bool = False,
    validation_ua: float = 0.5,
) -> list[FoldPredictions]:
    """A grid of fits. The utterances and their difficulty are the same for every row: rows can be paired."""
    fits = []
    for fold in range(1, folds + 1):
        corpus = np.random.default_rng([fold, 99])
        count = speakers_a_fold * utterances
        truth = np.concatenate([np.arange(len(labels)), corpus.integers(0, len(labels), count - len(labels))])
        speakers = [f"speaker {fold}.{index // utterances}" for index in range(count)]
        hardness = corpus.random(count)
        for seed in seeds:
            luck = np.random.default_rng([*row.encode(), fold, seed])
            right = hardness + luck.normal(scale=0.05, size=count) < accuracy
            guesses = np.where(right, truth, luck.integers(0, len(labels), count))
            space = np.eye(len(labels), 8)[guesses] * 3 + luck.normal(size=(count, 8))
            fits.append(
                result(
                    truth.tolist(),
                    guesses.tolist(),
                    speakers=speakers,
                    confidence=float(luck.uniform(0.4, 0.9)),
                    labels=labels,
                    row=row,
                    fold=str(fold),
                    seed=seed,
                    validation_ua=validation_ua,
                    embeddings=space.astype(np.float32) if embeddings else None,
                )
            )
    return fits
