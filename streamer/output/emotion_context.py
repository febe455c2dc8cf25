"""How a piece of speech of several utterances sounds, in the shape in which messages of other programs carry
it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..protocol import messages


def overall_emotion(finals: Sequence[messages.Emotion]) -> messages.Emotion | None:
    """That of the longest utterance with a reliable label; None where there is none."""
    reliable = [one for one in finals if one.reliable]
    return max(reliable, key=lambda one: one.end_ms - one.start_ms, default=None)


def emotion_context(finals: Sequence[messages.Emotion]) -> dict[str, Any]:
    """label, confidence: of the main utterance, None where there is none; utterances: each with its own."""
    main = overall_emotion(finals)
    return {
        "label": None if main is None else main.label,
        "confidence": None if main is None else main.confidence,
        "utterances": [
            {
                "start_ms": one.start_ms,
                "end_ms": one.end_ms,
                "label": one.label,
                "confidence": one.confidence,
                "reliable": one.reliable,
                "probabilities": one.probabilities,
                "text": one.text,
            }
            for one in finals
        ],
    }
