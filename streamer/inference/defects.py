"""A check of what a recognizer returns: it may be any class that a program brings."""

from __future__ import annotations

import math
from collections.abc import Sequence

from emostream.models import Prediction


def find_defect(prediction: Prediction, labels: Sequence[str]) -> str | None:
    """What is wrong with a recognizer's result; None where it is a valid prediction."""
    try:
        views = [prediction.probabilities, prediction.audio_only]
        views += [] if prediction.text_only is None else [prediction.text_only]
        if not all(math.isfinite(p) for view in views for p in (*view, prediction.confidence)):  # type: ignore[misc]
            return "probabilities that are not numbers"
        if prediction.label not in labels or any(len(view) != len(labels) for view in views):  # type: ignore[arg-type]
            return "a prediction that does not fit its labels"
    except (AttributeError, TypeError):
        return f"no prediction but {type(prediction).__name__}"
    return None
