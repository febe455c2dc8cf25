"""What is known of the speaker, as LiveKit's `SpeakerContext`."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel

from emostream.streamer.output.emotion_context import overall_emotion
from emostream.streamer.protocol import messages

from ..wording import sounds


class SpeakerEmotion(BaseModel):
    """How the user sounded last. probabilities: calibrated, by label; confidence: that of `label`; reliable:
    whether to believe the label.
    """

    label: str
    confidence: float
    reliable: bool
    probabilities: dict[str, float]

    @classmethod
    def of(cls, finals: Sequence[messages.Emotion]) -> SpeakerEmotion | None:
        """Of the main utterance, or the last one where none is reliable; None of no utterances."""
        if not finals:
            return None
        event = overall_emotion(finals) or finals[-1]
        return cls(
            label=event.label,
            confidence=event.confidence,
            reliable=event.reliable,
            probabilities=event.probabilities,
        )

    def to_instructions(self) -> str:
        """For a language model; empty where the label is not reliable."""
        return sounds(self.label, self.confidence) if self.reliable else ""
