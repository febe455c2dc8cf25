"""One emotion for a whole recording."""

from __future__ import annotations

from collections.abc import Sequence

from ..protocol import messages


def overall_emotion(finals: Sequence[messages.Emotion]) -> messages.Emotion | None:
    """That of the longest utterance with a reliable label; None where there is none."""
    reliable = [one for one in finals if one.reliable]
    return max(reliable, key=lambda one: one.end_ms - one.start_ms, default=None)
