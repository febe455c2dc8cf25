"""How the user sounds, in words for a language model."""

from __future__ import annotations


def sounds(label: str, confidence: float) -> str:
    """A sentence for the instructions of a language model."""
    return (
        f"The user sounds {label} (probability {confidence:.0%}, judged from the voice). "
        "Take it into account in tone and content; do not mention it unless asked."
    )
