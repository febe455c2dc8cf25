"""Predictions of a checkpoint for clips and texts, through the recognizer that serves, and their true
labels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from emostream.models import LABELS, Clip, EmotionInput, Prediction, Samples, Transcript
from emostream.models.recognition import Recognition

from ..corpora.example import OTHER, Example
from ..data.audio_cache import read_clip, trim
from ..trainer.seeding import example_rng
from .metrics import ClassificationMetrics, compute_metrics

PosteriorName = Literal["fused", "audio", "text"]
Probabilities = npt.NDArray[np.float64]

BATCH: Final = 8
_TEXT_BATCH: Final = 64


def predict_clips(
    recognizer: Recognition,
    examples: Sequence[Example],
    texts: Sequence[str | None],
    corrupt: Callable[[Samples, np.random.Generator], Samples] = lambda samples, _: samples,
) -> list[Prediction]:
    """examples and texts: one to one. Silent edges are trimmed, as a segmenter and training do."""
    predictions: list[Prediction] = []
    for start in range(0, len(examples), BATCH):
        batch = zip(examples[start : start + BATCH], texts[start : start + BATCH], strict=True)
        predictions += recognizer.recognize(
            [
                EmotionInput(
                    Clip(corrupt(trim(read_clip(example.audio_path)), example_rng(0, 0, example.key))),
                    Transcript(text) if text else None,
                )
                for example, text in batch
            ]
        )
    return predictions


def predict_texts(recognizer: Recognition, lines: Sequence[Example]) -> list[Prediction]:
    """Predictions for text with an empty clip; the text-only head does not use it."""
    empty = Clip(np.zeros(0, dtype=np.float32))
    return [
        prediction
        for start in range(0, len(lines), _TEXT_BATCH)
        for prediction in recognizer.recognize(
            [EmotionInput(empty, Transcript(line.words)) for line in lines[start : start + _TEXT_BATCH]]
        )
    ]


def true_label(example: Example, labels: Sequence[str]) -> str:
    """The label that a checkpoint of `labels` should predict.

    For a checkpoint of the four labels, the one of the four that the corpus's label maps to; for any other,
    the corpus's own label.
    """
    return example.emotion if set(labels) <= {*LABELS, OTHER} else example.emotion_orig


def true_indices(labels: Sequence[str], examples: Sequence[Example]) -> npt.NDArray[np.int64]:
    """The index of each example's true label, (N,)."""
    return np.array([labels.index(true_label(example, labels)) for example in examples], dtype=np.int64)


def posterior_of(predictions: Sequence[Prediction], posterior: PosteriorName) -> Probabilities:
    """The named posterior of each prediction, (N, C)."""
    chosen = {
        "fused": [prediction.probabilities for prediction in predictions],
        "audio": [prediction.audio_only for prediction in predictions],
        "text": [prediction.text_only for prediction in predictions],
    }[posterior]
    return np.array(chosen, dtype=np.float64)


def score(
    labels: Sequence[str],
    examples: Sequence[Example],
    predictions: Sequence[Prediction],
    posterior: PosteriorName,
) -> ClassificationMetrics:
    """Metrics of one of the predictions' posteriors."""
    return compute_metrics(true_indices(labels, examples), posterior_of(predictions, posterior))
